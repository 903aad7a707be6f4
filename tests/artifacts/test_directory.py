"""What is the directory store's own: its files, and how it fails."""

import asyncio
import fcntl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scalemesh.artifacts import DirectoryStore, open_store
from scalemesh.artifacts.store import FilePart, StoreUnavailable
from scalemesh.aws import Aws


async def test_a_key_is_a_path_under_the_root(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    await store.write("__output/p/blobs/a", b"x")
    assert (tmp_path / "__output/p/blobs/a").read_bytes() == b"x"
    assert [path.name for path in tmp_path.iterdir()] == ["__output"]


async def test_deleting_a_prefix_leaves_no_empty_directories(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    await store.write("__output/p/blobs/a", b"x")
    await store.delete_prefix("__output/p/")
    assert [path.name for path in (tmp_path / "__output").iterdir()] == []


async def test_its_url_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert DirectoryStore(Path("data")).url == str(tmp_path / "data")


async def test_opening_it_makes_the_directory(tmp_path: Path) -> None:
    async with open_store(Aws(), directory=tmp_path / "a/b", bucket=None, endpoint_url=None) as store:
        await store.check()


async def test_a_root_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    """It is a volume that is not mounted: what is written below its mount point would vanish later."""
    store = DirectoryStore(tmp_path / "gone")
    with pytest.raises(StoreUnavailable, match="No such file"):
        await store.check()
    with pytest.raises(StoreUnavailable, match="No such file"):
        await store.write("__output/a", b"x")
    assert not (tmp_path / "gone").exists()


async def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    await store.write("a", b"x")
    with pytest.raises(StoreUnavailable):
        await store.write("a/b", b"y")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


async def test_a_file_that_shrinks_while_it_is_read_is_no_whole_answer(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    await store.write("a", bytes(200_000))
    async with store.open("a") as reader:
        (tmp_path / "a").write_bytes(b"")
        with pytest.raises(StoreUnavailable, match="ended 200000 bytes early"):
            _ = [chunk async for chunk in reader]


async def test_what_a_killed_server_left_half_written_is_removed_and_what_one_is_writing_is_not(
    tmp_path: Path,
) -> None:
    for name in (".write-left", ".write-held", "kept"):
        (tmp_path / name).write_bytes(b"x")
    with (tmp_path / ".write-held").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        async with open_store(Aws(), directory=tmp_path, bucket=None, endpoint_url=None):
            assert {path.name for path in tmp_path.iterdir()} == {".write-held", "kept"}


# A loop of its own, as it is left with the one thread.
@pytest.mark.asyncio(loop_scope="function")
async def test_a_reader_that_is_canceled_while_its_file_waits_to_be_closed_closes_it(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    await store.write("a", b"x")
    gate, reading, leave = threading.Event(), asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))

    async def read() -> FilePart | None:
        async with store.open("a") as reader:
            reading.set()
            await leave.wait()
            return reader.part

    reader = asyncio.create_task(read())
    await reading.wait()
    busy = asyncio.create_task(asyncio.to_thread(gate.wait))
    await asyncio.sleep(0)
    leave.set()
    for _ in range(3):
        await asyncio.sleep(0)
    reader.cancel()
    await asyncio.sleep(0)
    gate.set()
    await busy
    part = await reader
    assert part is not None
    assert part.file.closed
