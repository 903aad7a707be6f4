from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from builder.checkout import read_checkout
from builder.detect import Checkout, Choice, Plan, Settings, detect
from builder.errors import BuildError
from builder.outputs import find_output
from builder.package_json import PackageJSON
from builder.presets import STATIC, WELL_KNOWN_OUTPUTS
from builder.toolchain import Paths

ROOT = PurePosixPath(".")


def plan_of(package: dict[str, Any] | None, settings: Settings | None = None) -> Plan:
    parsed = None if package is None else PackageJSON.from_json(package)
    return detect(Checkout(ROOT, parsed, {}), settings or Settings())


BUILD = {"build": "do it"}


@pytest.mark.parametrize(
    ("package", "preset", "build", "outputs", "spa"),
    [
        (None, "static", None, ("public", "."), False),
        ({}, "static", None, ("public", "."), False),
        ({"scripts": {"test": "x"}, "dependencies": {"lodash": "4"}}, "static", None, ("public", "."), False),
        ({"scripts": BUILD}, "node", "npm run build", WELL_KNOWN_OUTPUTS, False),
        ({"devDependencies": {"vite": "7"}}, "vite", "vite build", ("dist",), True),
        ({"devDependencies": {"vite": "7"}, "scripts": BUILD}, "vite", "npm run build", ("dist",), True),
        (
            {"dependencies": {"react-scripts": "5"}},
            "create-react-app",
            "react-scripts build",
            ("build",),
            True,
        ),
        ({"dependencies": {"astro": "5", "vite": "7"}}, "astro", "astro build", ("dist",), False),
        ({"dependencies": {"next": "15"}, "scripts": BUILD}, "nextjs", "npm run build", ("out",), False),
        (
            {"dependencies": {"next": "15"}, "scripts": {"build": " "}},
            "nextjs",
            "next build",
            ("out",),
            False,
        ),
        ({"scripts": [], "dependencies": "x", "engines": 1}, "static", None, ("public", "."), False),
    ],
)
def test_a_package_tells_its_framework(
    package: dict[str, Any] | None, preset: str, build: str | None, outputs: tuple[str, ...], spa: bool
) -> None:
    plan = plan_of(package)
    assert plan.preset.name == preset
    assert (plan.build.value if plan.build else None) == build
    assert plan.outputs == outputs
    assert plan.preset.spa is spa
    assert (plan.install is None) == (build is None)


def test_the_projects_settings_win() -> None:
    settings = Settings("make deps", "make site", PurePosixPath("www"))
    plan = plan_of({"dependencies": {"vite": "7"}, "scripts": BUILD}, settings=settings)
    assert plan.install == Choice("make deps", "the project's setting")
    assert plan.build == Choice("make site", "the project's setting")
    assert plan.outputs == ("www",)
    assert plan_of(None, settings=settings).preset.name == "custom"


def test_lock_files_are_looked_for_up_to_the_repository(tmp_path: Path) -> None:
    app = tmp_path / "repo/apps/web"
    app.mkdir(parents=True)
    (tmp_path / "yarn.lock").touch()
    (tmp_path / "repo/pnpm-lock.yaml").write_text("lockfileVersion: '9.0'\n")
    (tmp_path / "repo/pnpm-workspace.yaml").write_text("packages: [apps/*]\n")
    (tmp_path / "repo/.nvmrc").write_text("v22\n")
    (app / "package.json").write_text('{"scripts": {"build": "x"}, "dependencies": {"a": "1"}}')
    (app / "package-lock.json").symlink_to("/etc/passwd")
    checkout = read_checkout(tmp_path / "repo", PurePosixPath("apps/web"))
    plan = detect(checkout, Settings())
    assert plan.manager is not None
    assert (plan.manager.name, plan.manager.directory) == ("pnpm", ROOT)
    assert plan.node_wanted == Choice("v22", ".nvmrc")


def test_a_package_json_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"scripts": {"build": "x"}}')
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/package.json").symlink_to(tmp_path / "secret.json")
    assert read_checkout(tmp_path / "repo", ROOT).package is None


@pytest.mark.parametrize("content", ["", "[]", "{" * 5000, '{"a": 1,}', " " * (1024 * 1024 + 1)])
def test_a_package_json_that_is_none_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "package.json").write_text(content)
    with pytest.raises(BuildError, match=r"package\.json"):
        read_checkout(tmp_path, ROOT)


def test_the_first_output_that_exists_is_the_site(tmp_path: Path) -> None:
    plan = plan_of(None)
    assert plan.preset == STATIC
    assert find_output(tmp_path, ROOT, plan) == ROOT
    (tmp_path / "public").mkdir()
    assert find_output(tmp_path, ROOT, plan) == PurePosixPath("public")


def test_a_missing_output_names_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "_site").mkdir()
    with pytest.raises(BuildError, match=r"no directory dist\. There is build and _site"):
        find_output(tmp_path, ROOT, plan_of({"dependencies": {"vite": "7"}}))


def test_programs_of_the_dependencies_come_first_on_the_path() -> None:
    paths = Paths(PurePosixPath("/workspace"), PurePosixPath("a/b"), PurePosixPath("/opt/node/bin"))
    assert paths.search_path() == ":".join(
        [
            "/workspace/repo/a/b/node_modules/.bin",
            "/workspace/repo/a/node_modules/.bin",
            "/workspace/repo/node_modules/.bin",
            "/workspace/tools/bin",
            "/opt/node/bin",
            "/usr/local/bin:/usr/bin:/bin",
        ]
    )


def test_programs_of_the_virtual_environment_come_before_the_systems() -> None:
    paths = Paths(PurePosixPath("/workspace"), ROOT, None, has_venv=True)
    assert paths.search_path() == ":".join(
        [
            "/workspace/repo/node_modules/.bin",
            "/workspace/tools/venv/bin",
            "/workspace/tools/bin",
            "/usr/local/bin:/usr/bin:/bin",
        ]
    )
