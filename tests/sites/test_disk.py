"""Blobs on the disk of this machine, in front of a store that is far away."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import pytest

from scalemesh import keys
from scalemesh.artifacts import DirectoryStore
from scalemesh.artifacts.store import ArtifactNotFound, StoreUnavailable
from scalemesh.model import ProjectID
from scalemesh.sites import DiskCache, SiteHost, Sites, disk, open_disk_cache
from scalemesh.sites.blobs import BlobCache, BlobID
from scalemesh.sites.counters import Counters
from tests.parts.server import eventually
from tests.sites.front import Answer, Routes, get, serve
from tests.sites.site import publish, sha256
from tests.sites.watched import WatchedStore, until

LARGE = bytes(range(256)) * 4096 * 3
MAX_BYTES = 64 * 1024 * 1024


@pytest.fixture
def store(tmp_path: Path) -> WatchedStore:
    (tmp_path / "store").mkdir()
    return WatchedStore(DirectoryStore(tmp_path / "store"))


@pytest.fixture(autouse=True)
def written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "GATHERING_S", 0.01)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
async def cache(store: WatchedStore, directory: Path) -> AsyncIterator[DiskCache]:
    async with open_disk_cache(directory, store, max_bytes=MAX_BYTES) as opened:
        yield opened


def through(store: WatchedStore, cache: DiskCache) -> BlobCache:
    """Blobs of a server that has just started: nothing is in memory."""
    return BlobCache(store, Counters(), max_bytes=0, disk=cache)


async def put(store: WatchedStore, data: bytes) -> BlobID:
    blob = ProjectID("p1"), sha256(data)
    await store.write(keys.blob(*blob), data)
    return blob


def files_in(directory: Path) -> dict[str, int]:
    found = {}
    for path in directory.iterdir():
        with suppress(FileNotFoundError):  # swept meanwhile
            found[path.name] = path.stat().st_size
    return found


async def whole(cache: BlobCache, blob: BlobID, size: int) -> bytes:
    async with cache.open(blob, start=0, length=size, whole=True) as reader:
        return b"".join([chunk async for chunk in reader])


async def test_a_small_blob_is_read_from_the_store_once_also_after_a_restart(
    store: WatchedStore, directory: Path
) -> None:
    blob = await put(store, b"content")
    for _ in range(2):
        async with open_disk_cache(directory, store, max_bytes=MAX_BYTES) as opened:
            assert await through(store, opened).get(blob, size=7) == b"content"
            await until(lambda: files_in(directory) == {f"p1.{blob[1]}": 7})
    assert len(store.reads) == 1


async def test_many_who_ask_for_a_large_one_share_its_way_there(
    store: WatchedStore, cache: DiskCache, directory: Path
) -> None:
    blob = await put(store, LARGE)
    blobs = through(store, cache)
    answers = await asyncio.gather(*(whole(blobs, blob, len(LARGE)) for _ in range(10)))
    assert set(answers) == {LARGE}
    assert store.streamed_bytes == len(LARGE)
    await until(lambda: files_in(directory) == {f"p1.{blob[1]}": len(LARGE)})
    async with blobs.open(blob, start=0, length=len(LARGE), whole=True) as reader:
        assert reader.part is not None
    assert store.streamed_bytes == len(LARGE)


async def test_a_large_file_of_a_site_is_the_same_before_and_after(
    store: WatchedStore, cache: DiskCache, directory: Path
) -> None:
    routes = Routes({SiteHost("a", None): await publish(store, {"/large.png": LARGE})})
    async with serve(Sites(routes.fetch, store, disk=cache)) as port:

        async def ask(**headers: str) -> Answer:
            answer = await get(port, "/large.png", **headers)
            answer.headers.pop("Date")
            return answer

        part = await ask(range="bytes=100-1000099")
        # Only that much was read, for nobody asked for more.
        assert (part.body, store.streamed_bytes) == (LARGE[100:1000100], 1_000_000)
        assert files_in(directory) == {}
        first = await ask()
        await until(lambda: len(files_in(directory)) == 1)
        read = store.streamed_bytes
        assert await ask() == first
        assert first.body == LARGE
        assert await ask(range="bytes=100-1000099") == part
        assert store.streamed_bytes == read


async def test_somebody_slow_holds_up_nobody(store: WatchedStore, cache: DiskCache) -> None:
    blob = await put(store, LARGE)
    blobs = through(store, cache)
    async with blobs.open(blob, start=0, length=len(LARGE), whole=True) as slow:
        first = await anext(slow.chunks)
        assert await whole(blobs, blob, len(LARGE)) == LARGE
        await until(lambda: store.open_readers == 0)
        assert first + b"".join([chunk async for chunk in slow]) == LARGE


async def test_whoever_leaves_takes_it_from_nobody(
    store: WatchedStore, cache: DiskCache, directory: Path
) -> None:
    blob = await put(store, LARGE)
    async with through(store, cache).open(blob, start=0, length=len(LARGE), whole=True):
        pass
    await until(lambda: files_in(directory) == {f"p1.{blob[1]}": len(LARGE)})


async def test_what_broke_off_is_not_kept(store: WatchedStore, cache: DiskCache, directory: Path) -> None:
    blob = await put(store, LARGE)
    store.breaks_after_bytes = 100_000
    with pytest.raises(StoreUnavailable):
        await whole(through(store, cache), blob, len(LARGE))
    assert files_in(directory) == {}
    store.breaks_after_bytes = None
    assert await whole(through(store, cache), blob, len(LARGE)) == LARGE


async def test_a_missing_one_is_missing(store: WatchedStore, cache: DiskCache) -> None:
    with pytest.raises(ArtifactNotFound):
        await whole(through(store, cache), (ProjectID("p1"), "0" * 64), 5_000_000)
    with pytest.raises(ArtifactNotFound):
        await through(store, cache).get((ProjectID("p1"), "0" * 64), size=5)


async def test_a_file_cut_short_is_fetched_again(
    store: WatchedStore, cache: DiskCache, directory: Path
) -> None:
    """As after a power cut."""
    small, large = await put(store, b"content"), await put(store, LARGE)
    blobs = through(store, cache)
    for blob, size in ((small, 7), (large, len(LARGE))):
        await (blobs.get(blob, size=size) if size == 7 else whole(blobs, blob, size))
        await eventually(lambda blob=blob, size=size: cache.read(*blob, size=size))  # type: ignore[misc]
        os.truncate(directory / f"p1.{blob[1]}", 3)
    assert await blobs.get(small, size=7) == b"content"
    assert await whole(blobs, large, len(LARGE)) == LARGE
    await until(lambda: sorted(files_in(directory).values()) == [7, len(LARGE)])


async def test_what_was_not_used_for_longest_goes(store: WatchedStore, directory: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(40)]
    blobs_written = [await put(store, content) for content in contents]

    def opened() -> AbstractAsyncContextManager[DiskCache]:
        return open_disk_cache(directory, store, max_bytes=1_000_000)

    async with opened() as cache:
        for blob in blobs_written:
            await through(store, cache).get(blob, size=100_000)
            await eventually(lambda blob=blob: cache.read(*blob, size=100_000))  # type: ignore[misc]
            # The first stays in use.
            assert await cache.read(*blobs_written[0], size=100_000) == contents[0]
            assert sum(files_in(directory).values()) <= 1_000_000
    kept = files_in(directory)
    assert f"p1.{blobs_written[0][1]}" in kept
    assert f"p1.{blobs_written[-1][1]}" in kept
    assert f"p1.{blobs_written[1][1]}" not in kept


async def test_what_another_process_wrote_is_seen_after_a_sweep(store: WatchedStore, directory: Path) -> None:
    blob = await put(store, b"content")
    async with open_disk_cache(directory, store, max_bytes=1_000_000) as cache:
        async with open_disk_cache(directory, store, max_bytes=1_000_000) as another:
            await through(store, another).get(blob, size=7)
        assert await cache.read(*blob, size=7) is None
        await cache.sweep()
        assert await cache.read(*blob, size=7) == b"content"


async def test_a_blob_too_large_for_the_disk_is_streamed(store: WatchedStore, directory: Path) -> None:
    blob = await put(store, LARGE)
    async with open_disk_cache(directory, store, max_bytes=1_000_000) as cache:
        assert await whole(through(store, cache), blob, len(LARGE)) == LARGE
    assert files_in(directory) == {}


async def test_a_disk_that_is_full_is_nobodys_error(
    store: WatchedStore, cache: DiskCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_fd: int, _start: int, _length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    blob = await put(store, LARGE)
    for _ in range(2):
        assert await whole(through(store, cache), blob, len(LARGE)) == LARGE
    assert [record.message for record in caplog.records if "No space" in record.message] == [
        "the disk cache rests for 60 s: [Errno 28] No space left on device"
    ]


async def test_what_a_killed_server_left_half_written_is_removed(
    store: WatchedStore, directory: Path
) -> None:
    directory.mkdir()
    (directory / ".write-left").write_bytes(b"half")
    async with open_disk_cache(directory, store, max_bytes=MAX_BYTES):
        assert files_in(directory) == {}
