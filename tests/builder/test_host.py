"""What a machine has: its Node.js, on PATH and of the wheel."""

import asyncio
from pathlib import Path

import pytest

from builder.host import find_nodes


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a version manager's shim for Node.js may lie, first on PATH."""
    directory = tmp_path / "shims"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory), prepend=":")
    return directory / "node"


def install(shim: Path, version: str) -> Path:
    """Puts a new shim there, as an upgrade does. Returns a file with a letter for each time it is asked."""
    asked = shim.parent / "asked"
    new = shim.with_suffix(".new")
    new.write_text(f"#!/bin/sh\nprintf x >> {asked}\nprintf '{version} /opt/manager/{version}/bin/node'\n")
    new.chmod(0o755)
    new.rename(shim)
    return asked


@pytest.mark.parametrize(("version", "is_newest"), [("99.1.0", True), ("9.10.0", False)])
async def test_the_newest_comes_first(on_path: Path, version: str, is_newest: bool) -> None:
    install(on_path, version)
    found = await find_nodes()
    assert len(found) == 2
    assert (found[0].version == version) is is_newest
    (shimmed,) = [node for node in found if node.version == version]
    assert shimmed.prefix == Path("/opt/manager") / version


async def test_node_is_asked_once_and_after_an_upgrade_again(on_path: Path) -> None:
    asked = install(on_path, "98.0.0")
    assert [(await find_nodes())[0].version for _ in range(2)] == ["98.0.0"] * 2
    assert asked.read_text() == "x"
    install(on_path, "99.0.0")
    assert (await find_nodes())[0].version == "99.0.0"
    assert asked.read_text() == "xx"


async def test_a_node_that_failed_is_asked_again(on_path: Path) -> None:
    """A shim whose version is yet to be installed."""
    on_path.write_text('#!/bin/sh\n. "$0.version"\n')
    on_path.chmod(0o755)
    assert len(await find_nodes()) == 1
    (on_path.parent / "node.version").write_text("printf '98.0.0 /opt/manager/98.0.0/bin/node'\n")
    assert (await find_nodes())[0].version == "98.0.0"


def test_a_node_for_another_machine_is_none(on_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    on_path.write_bytes(b"\x7fELF of something else")
    on_path.chmod(0o755)
    # The loop that a builder runs on: the server's has the file read as a shell script.
    assert len(asyncio.run(find_nodes())) == 1
    assert f"{on_path} does not start: Exec format error" in caplog.text
