"""The frozen install, from npm's registry."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.builder.running import Builder
from tests.parts.git import GitServer

PACKAGE = {
    "name": "tiny",
    "version": "1.0.0",
    "scripts": {"build": "node build.cjs"},
    "dependencies": {"is-number": "7.0.0"},
}
BUILD = """
const isNumber = require('is-number')
require('fs').mkdirSync('dist')
require('fs').writeFileSync('dist/index.html', `7 is a number: ${isNumber(7)}`)
"""


@pytest.mark.registry
async def test_npm_installs_what_the_lock_file_says(
    builder: Builder, git_server: GitServer, tmp_path: Path
) -> None:
    npm = shutil.which("npm")
    assert npm is not None
    (tmp_path / "package.json").write_text(json.dumps(PACKAGE))
    lock = [npm, "install", "--package-lock-only", "--silent"]
    await asyncio.to_thread(subprocess.run, lock, cwd=tmp_path, check=True)
    files = {
        "package.json": json.dumps(PACKAGE),
        "package-lock.json": (tmp_path / "package-lock.json").read_text(),
        "build.cjs": BUILD,
    }
    built = await builder.run(await git_server.make_repo("tiny", files))
    assert built.exit == 0, built.text
    assert "$ npm ci" in built.text
    assert built.manifest is not None
    page = built.blob(built.manifest["files"]["/index.html"]["sha256"])
    assert page == b"7 is a number: true"
