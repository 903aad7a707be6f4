"""Real installs from the registries and real builds, one for each kind of generator.

The projects are as small as their frameworks allow. Top-level versions are exact and run on Node.js 20.
"""

import json
from pathlib import Path

import pytest

from tests.builder.running import Builder, Built
from tests.parts.git import Files, GitServer

pytestmark = pytest.mark.registry

TIMEOUT_S = 400
"""Docusaurus installs 1,100 packages, and other work may take most of the machine."""

BUN = "bun@1.4.5"
"""For what has many packages: npm and pnpm take five times as long to install them."""


@pytest.fixture
def patient(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "artifacts", TIMEOUT_S)


def package(dependencies: dict[str, str], **fields: object) -> str:
    return json.dumps({"name": "site", "private": True, "dependencies": dependencies, **fields})


async def build(builder: Builder, git_server: GitServer, name: str, files: Files, **env: str) -> Built:
    built = await builder.run(await git_server.make_repo(name, files), **env)
    assert built.exit == 0, built.text
    assert built.result["framework"] == name
    return built


async def test_vite_with_pnpm(patient: Builder, git_server: GitServer) -> None:
    files = {
        "package.json": package(
            {"vite": "7.1.12"},
            scripts={"build": "vite build"},
            engines={"node": ">=20"},
            packageManager="pnpm@10.20.0",
        ),
        "index.html": '<div id="app"></div><script type="module" src="/main.js"></script>',
        "main.js": "document.querySelector('#app').textContent = 'built by Vite'",
    }
    built = await build(patient, git_server, "vite", files)
    assert built.manifest is not None
    assert built.manifest["spa"] is True
    script = next(path for path in built.manifest["files"] if path.endswith(".js"))
    assert "built by Vite" in built.page(script)
    assert ">=20 is asked for by engines.node in package.json" in built.text
    assert "Package manager: pnpm (packageManager in package.json)" in built.text


async def test_astro(patient: Builder, git_server: GitServer) -> None:
    files = {
        "package.json": package({"astro": "5.15.3"}, packageManager=BUN),
        "src/pages/index.astro": "---\nconst by = 'Astro'\n---\n<h1>built by {by}</h1>",
    }
    built = await build(patient, git_server, "astro", files)
    assert "built by Astro" in built.page("/index.html")


async def test_eleventy(patient: Builder, git_server: GitServer) -> None:
    files = {
        "package.json": package({"@11ty/eleventy": "3.1.2"}, packageManager=BUN),
        "index.md": "# built by {{ eleventy.generator }}",
    }
    built = await build(patient, git_server, "eleventy", files)
    assert "built by Eleventy" in built.page("/index.html")


async def test_vitepress(patient: Builder, git_server: GitServer) -> None:
    files = {
        "package.json": package({"vitepress": "1.6.4"}, packageManager=BUN),
        "docs/.vitepress/config.mjs": "export default { title: 'Guide' }",
        "docs/index.md": "# built by VitePress",
    }
    built = await build(patient, git_server, "vitepress", files)
    assert "built by VitePress" in built.page("/index.html")


async def test_docusaurus_with_bun(patient: Builder, git_server: GitServer) -> None:
    plugins = "['@docusaurus/plugin-content-pages']"
    files = {
        "package.json": package(
            {
                "@docusaurus/core": "3.10.2",
                "@docusaurus/plugin-content-pages": "3.10.2",
                "react": "19.2.0",
                "react-dom": "19.2.0",
            },
            packageManager=BUN,
            # Minifying and keeping webpack's cache are half of the build, and Docusaurus' own matter.
            scripts={"build": "DOCUSAURUS_NO_PERSISTENT_CACHE=1 docusaurus build --no-minify"},
        ),
        "docusaurus.config.js": "module.exports = { title: 'Site', url: 'https://example.com', baseUrl: '/',"
        f" plugins: {plugins} }}",
        "src/pages/index.js": "import React from 'react'\nexport default () => <h1>built by Docusaurus</h1>",
    }
    built = await build(patient, git_server, "docusaurus", files)
    assert "built by Docusaurus" in built.page("/index.html")
    assert "$ bun install" in built.text


async def test_hugo(patient: Builder, git_server: GitServer) -> None:
    files = {
        "hugo.toml": 'baseURL = "/"\ntitle = "Site"\n',
        "layouts/index.html": "<h1>built by {{ hugo.Generator }}</h1>",
        "layouts/_default/list.html": "",
    }
    built = await build(patient, git_server, "hugo", files)
    assert 'content="Hugo ' in built.page("/index.html")


async def test_mkdocs(patient: Builder, git_server: GitServer) -> None:
    files = {
        "mkdocs.yml": "site_name: Site\n",
        "docs/index.md": "# built by MkDocs",
        "requirements.txt": "mkdocs==1.6.1\n",
    }
    built = await build(patient, git_server, "mkdocs", files)
    assert "built by MkDocs" in built.page("/index.html")
    assert "Python: 3." in built.text
    assert built.manifest is not None
    assert built.manifest["notFound"] == "/404.html"


async def test_a_workspace_is_installed_where_its_lock_file_lies(
    patient: Builder, git_server: GitServer
) -> None:
    files = {
        "package.json": package({}, workspaces=["apps/*", "packages/*"]),
        "bun.lock": json.dumps(
            {
                "lockfileVersion": 1,
                "workspaces": {
                    "": {"name": "site"},
                    "apps/web": {"name": "web", "dependencies": {"greeting": "workspace:*"}},
                    "packages/greeting": {"name": "greeting"},
                },
                "packages": {
                    "greeting": ["greeting@workspace:packages/greeting"],
                    "web": ["web@workspace:apps/web"],
                },
            }
        ),
        "apps/web/package.json": json.dumps(
            {
                "name": "web",
                "dependencies": {"greeting": "workspace:*"},
                "scripts": {"build": "node build.cjs"},
            }
        ),
        "apps/web/build.cjs": "const fs = require('fs'); fs.mkdirSync('dist');"
        "fs.writeFileSync('dist/index.html', require('greeting'))",
        "packages/greeting/package.json": json.dumps({"name": "greeting", "main": "index.js"}),
        "packages/greeting/index.js": "module.exports = 'hello from the workspace'",
    }
    built = await build(patient, git_server, "node", files, ROOT_DIRECTORY="apps/web")
    assert built.page("/index.html") == "hello from the workspace"
    assert "$ bun install --frozen-lockfile" in built.text
