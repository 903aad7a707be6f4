"""The record of a build in the store."""

import gzip
from pathlib import Path

import pytest

from scalemesh import keys
from scalemesh.artifacts import DirectoryStore
from scalemesh.logs import archive
from scalemesh.logs.archive import (
    ArchiveDamaged,
    BuildLog,
    BuildResult,
    fetch_build_log,
    write_build_log,
    write_whole_build_log,
)
from scalemesh.model import DeploymentID, Failure, ProjectID
from tests.logs.build import line, lines

IDS = (ProjectID("project"), DeploymentID("deployment"), 2)
GOOD = b'{"type":"line","seq":1,"time":"t","stream":"stdout","phase":"build","text":"hi"}\n'


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


@pytest.mark.parametrize(
    "result",
    [
        None,
        BuildResult(1, 0, "abc", "First\nline", "vite", 12, 3456, None),
        BuildResult(3, 1, None, None, None, None, None, Failure("build_failed", "It failed.", "Mend it.")),
    ],
)
async def test_what_is_written_is_read(store: DirectoryStore, result: BuildResult | None) -> None:
    written = BuildLog([*lines(1, 3), line(9, "\x1b[31mrot \u2028 \x85 \U0001f600\t</script>")], result)
    await write_build_log(store, *IDS, written)
    assert await fetch_build_log(store, *IDS) == written


async def test_a_later_attempt_is_the_log_and_has_the_name_that_others_read(store: DirectoryStore) -> None:
    first, second = (BuildLog(lines(1, 3), None), BuildLog(lines(1, 5), None))
    await write_build_log(store, *IDS[:2], 1, first)
    await write_whole_build_log(store, *IDS, second)
    assert await fetch_build_log(store, *IDS) == second
    named = await store.read("__output/project/deployment/build.log.gz", max_bytes=10_000)
    assert len(gzip.decompress(named).splitlines()) == 5


async def test_a_log_that_was_not_written_is_none(store: DirectoryStore) -> None:
    assert await fetch_build_log(store, *IDS) is None


DAMAGED = {
    "nothing": b"",
    "not gzip": b"not gzip",
    "cut short": gzip.compress(GOOD * 100)[:-20],
    "broken inside": gzip.compress(GOOD)[:15] + b"\xff" * 20,
    "half a line": gzip.compress(GOOD + GOOD[:20]),
    "a number": gzip.compress(b"5\n"),
    "a list": gzip.compress(b"[]\n"),
    "not UTF-8": gzip.compress(b"\xff\xfe\n"),
    "a line without a number": gzip.compress(b'{"type":"line","seq":null}\n'),
    "a line without text": gzip.compress(b'{"type":"line","seq":1}\n'),
    "a result without an attempt": gzip.compress(b'{"type":"result","exit":0}\n'),
    "a result with half an error": gzip.compress(b'{"type":"result","attempt":1,"exit":1,"error":"no"}\n'),
}


@pytest.mark.parametrize("name", DAMAGED)
async def test_what_is_no_log_is_damaged(store: DirectoryStore, name: str) -> None:
    await store.write(keys.build_log(*IDS), DAMAGED[name])
    with pytest.raises(ArchiveDamaged):
        await fetch_build_log(store, *IDS)


async def test_more_than_a_builder_writes_is_damaged(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", 500)
    await store.write(keys.build_log(*IDS), gzip.compress(GOOD * 100))
    with pytest.raises(ArchiveDamaged):
        await fetch_build_log(store, *IDS)
    await store.write(keys.build_log(*IDS), b"x" * 501)
    with pytest.raises(ArchiveDamaged):
        await fetch_build_log(store, *IDS)
