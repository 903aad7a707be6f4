"""The record of a build in the store."""

import asyncio
import gzip
import json
from pathlib import Path

import pytest

from scalemesh import keys
from scalemesh.artifacts import DirectoryStore
from scalemesh.logs import archive
from scalemesh.logs.archive import (
    MAX_ARCHIVE_BYTES,
    ArchiveDamaged,
    BuildLog,
    BuildResult,
    LogEnds,
    fetch_archived_log,
    fetch_build_log,
    fetch_log_ends,
    write_build_log,
    write_whole_build_log,
)
from scalemesh.logs.lines import Batch, Gap, encode_json, line_shape, with_gaps
from scalemesh.model import DeploymentID, Failure, ProjectID
from tests.logs.build import batch_of, line, lines, rows_of

IDS = (ProjectID("project"), DeploymentID("deployment"), 2)
GOOD = b'{"type":"line","seq":1,"time":"t","stream":"stdout","phase":"build","text":"hi"}\n'

PUBLISHED = BuildResult(1, 0, "abc", "First\nline", "vite", 12, 3456, None)
FAILED = BuildResult(3, 1, None, None, None, None, None, Failure("build_failed", "It failed.", "Mend it."))


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


@pytest.mark.parametrize("result", [None, PUBLISHED, FAILED])
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


async def read(store: DirectoryStore, after: int = 0) -> list[Batch | Gap]:
    log = await fetch_archived_log(store, *IDS)
    assert log is not None
    return [event async for event in log.read(after)]


@pytest.mark.parametrize("name", DAMAGED)
async def test_what_is_no_log_is_damaged(store: DirectoryStore, name: str) -> None:
    await store.write(keys.build_log(*IDS), DAMAGED[name])
    with pytest.raises(ArchiveDamaged):
        await fetch_build_log(store, *IDS)
    if "result" not in name:
        with pytest.raises(ArchiveDamaged):
            await read(store)


@pytest.mark.parametrize("name", [name for name in DAMAGED if name != "a line without text"])
async def test_what_has_no_end_is_damaged(store: DirectoryStore, name: str) -> None:
    await store.write(keys.build_log(*IDS), DAMAGED[name])
    with pytest.raises(ArchiveDamaged):
        await fetch_log_ends(store, *IDS)


async def test_a_log_s_ends_are_known_without_what_is_between(store: DirectoryStore) -> None:
    assert await fetch_log_ends(store, *IDS) is None
    for written in ((lines(1, 3), FAILED), (lines(3, 3), PUBLISHED), (lines(1, 2), None), ([], FAILED)):
        await write_build_log(store, *IDS, BuildLog(*written))
        first_seq = written[0][0].seq if written[0] else None
        assert await fetch_log_ends(store, *IDS) == LogEnds(first_seq, written[1])
    await store.write(keys.build_log(*IDS), gzip.compress(GOOD + b"rot\n" + GOOD))
    assert await fetch_log_ends(store, *IDS) == LogEnds(1, None)


async def test_what_readers_get_is_what_was_written(store: DirectoryStore) -> None:
    written = [*lines(1, 700), line(800, "\x1b[31mrot \u2028 \x85 \U0001f600\t</script>")]
    await write_build_log(store, *IDS, BuildLog(written, None))
    events = [*with_gaps(rows_of(written), 0)]
    assert await read(store) == events
    assert await read(store, 600) == [batch_of(lines(601, 700)), *events[-2:]]
    assert await read(store, 750) == [Gap(751, 799), events[-1]]
    assert await read(store, 800) == []


async def test_a_line_that_is_spelled_in_another_way_is_as_clients_get_it(store: DirectoryStore) -> None:
    spelled = json.dumps({"seq": 2, "type": "line", **line_shape(line(2))}).replace(",", ",\r")
    ours = encode_json({"type": "line", **line_shape(line(1))})
    await store.write(keys.build_log(*IDS), gzip.compress(f"{ours}\n{spelled}\n".encode()))
    assert await read(store) == [batch_of(lines(1, 2))]


async def test_a_log_that_breaks_in_the_middle_is_read_up_to_there_by_everybody(
    store: DirectoryStore,
) -> None:
    await write_build_log(store, *IDS, BuildLog(lines(1, 5000), None))
    whole = await store.read(keys.build_log(*IDS), max_bytes=MAX_ARCHIVE_BYTES)
    await store.write(keys.build_log(*IDS), whole[: len(whole) // 2])
    log = await fetch_archived_log(store, *IDS)
    assert log is not None
    seen: list[list[int]] = [[], []]

    async def note(last: list[int]) -> None:
        async for event in log.read(0):
            last.append(event.last)  # noqa: PERF401 - a comprehension would keep nothing of it

    for each in seen:
        with pytest.raises(ArchiveDamaged):
            await note(each)
    assert seen[0] == seen[1]
    assert 1000 < seen[0][-1] < 5000


async def test_a_reader_that_leaves_takes_no_line_from_the_others(store: DirectoryStore) -> None:
    await write_build_log(store, *IDS, BuildLog(lines(1, 5000), None))
    log = await fetch_archived_log(store, *IDS)
    assert log is not None

    async def last_line() -> int:
        return [event.last async for event in log.read(4990)][-1]

    for _ in range(5):
        leaving = asyncio.ensure_future(last_line())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
    assert [event async for event in log.read(0)] == [*with_gaps(rows_of(lines(1, 5000)), 0)]


async def test_more_than_a_builder_writes_is_damaged(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", 500)
    await store.write(keys.build_log(*IDS), gzip.compress(GOOD * 100))
    for fetch in (fetch_build_log(store, *IDS), fetch_log_ends(store, *IDS), read(store)):
        with pytest.raises(ArchiveDamaged):
            await fetch
    await store.write(keys.build_log(*IDS), b"x" * 501)
    with pytest.raises(ArchiveDamaged):
        await fetch_build_log(store, *IDS)
