"""Small files in memory."""

import asyncio
from pathlib import Path

import pytest

from scalemesh import keys
from scalemesh.artifacts import DirectoryStore
from scalemesh.artifacts.store import ArtifactNotFound, ArtifactTooLarge
from scalemesh.model import ProjectID
from scalemesh.sites.blobs import BlobCache, BlobID
from scalemesh.sites.counters import Counters
from scalemesh.sites.manifest import BlobDamaged
from tests.sites.watched import WatchedStore, until


@pytest.fixture
def store(tmp_path: Path) -> WatchedStore:
    return WatchedStore(DirectoryStore(tmp_path))


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def cache(store: WatchedStore, counters: Counters) -> BlobCache:
    return BlobCache(store, counters, max_bytes=100)


async def put(store: WatchedStore, name: str, data: bytes) -> BlobID:
    blob = ProjectID("p1"), name
    await store.write(keys.blob(*blob), data)
    return blob


async def test_a_blob_is_read_once(cache: BlobCache, store: WatchedStore, counters: Counters) -> None:
    blob = await put(store, "a", b"content")
    assert cache.peek(blob) is None
    assert await cache.get(blob, size=7) == b"content"
    assert await cache.get(blob, size=7) is cache.peek(blob)
    assert (counters.store, counters.memory, len(store.reads)) == (1, 1, 1)


async def test_many_who_miss_wait_for_one_read(cache: BlobCache, store: WatchedStore) -> None:
    blob = await put(store, "a", b"content")
    store.gate.clear()
    visits = [asyncio.create_task(cache.get(blob, size=7)) for _ in range(20)]
    await until(lambda: len(store.reads) == 1)
    store.gate.set()
    assert set(await asyncio.gather(*visits)) == {b"content"}
    assert len(store.reads) == 1


async def test_another_projects_blob_is_another_one(cache: BlobCache, store: WatchedStore) -> None:
    await cache.get(await put(store, "a", b"content"), size=7)
    with pytest.raises(ArtifactNotFound):
        await cache.get((ProjectID("p2"), "a"), size=7)


async def test_the_ones_not_asked_for_lately_make_room(cache: BlobCache, store: WatchedStore) -> None:
    a, b, c = [await put(store, name, name.encode() * 40) for name in "abc"]
    for blob in (a, b):
        await cache.get(blob, size=40)
    assert cache.peek(a)
    await cache.get(c, size=40)
    assert [cache.peek(blob) is not None for blob in (a, b, c)] == [True, False, True]
    large = await put(store, "large", bytes(101))
    assert len(await cache.get(large, size=101)) == 101
    assert cache.peek(large) is None


@pytest.mark.parametrize(("size", "error"), [(6, ArtifactTooLarge), (8, BlobDamaged)])
async def test_a_blob_of_another_size_is_not_served(
    cache: BlobCache, store: WatchedStore, size: int, error: type[Exception]
) -> None:
    blob = await put(store, "a", b"content")
    with pytest.raises(error):
        await cache.get(blob, size=size)
    assert cache.peek(blob) is None
