"""What every artifact store promises, of each of them."""

import asyncio

import pytest

from scalemesh.artifacts import bucket, s3
from scalemesh.artifacts.store import (
    CHUNK_BYTES,
    ArtifactNotFound,
    ArtifactStore,
    ArtifactTooLarge,
)

MIB = 1024 * 1024
LARGE = bytes(range(256)) * (5 * MIB // 256 + 1)  # over the 4 MiB at which SeaweedFS begins a second part


async def content(store: ArtifactStore, key: str, *, start: int = 0, length: int | None = None) -> bytes:
    async with store.open(key, start=start, length=length) as reader:
        chunks = [chunk async for chunk in reader]
    assert sum(map(len, chunks)) == reader.bytes
    assert all(0 < len(chunk) <= CHUNK_BYTES for chunk in chunks)
    return b"".join(chunks)


@pytest.mark.parametrize("data", [b"", b"x", LARGE], ids=["empty", "byte", "large"])
async def test_what_was_written_is_read(store: ArtifactStore, prefix: str, data: bytes) -> None:
    await store.write(f"{prefix}blobs/a.b-c_d", data)
    assert await store.read(f"{prefix}blobs/a.b-c_d", max_bytes=len(data)) == data
    assert await content(store, f"{prefix}blobs/a.b-c_d") == data


async def test_writing_again_replaces(store: ArtifactStore, prefix: str) -> None:
    await store.write(f"{prefix}a", b"a longer old text")
    await store.write(f"{prefix}a", b"new")
    assert await store.read(f"{prefix}a", max_bytes=100) == b"new"


async def test_a_missing_key_is_named(store: ArtifactStore, prefix: str) -> None:
    assert not await store.exists(f"{prefix}a")
    with pytest.raises(ArtifactNotFound, match=f"{prefix}a"):
        await store.read(f"{prefix}a", max_bytes=1)
    with pytest.raises(ArtifactNotFound, match=f"{prefix}a"):
        async with store.open(f"{prefix}a", start=5, length=5):
            pass


async def test_a_key_that_only_continues_in_others_is_missing(store: ArtifactStore, prefix: str) -> None:
    await store.write(f"{prefix}a/b", b"x")
    assert await store.exists(f"{prefix}a/b")
    assert not await store.exists(f"{prefix}a")
    with pytest.raises(ArtifactNotFound):
        await store.read(f"{prefix}a", max_bytes=1)
    with pytest.raises(ArtifactNotFound):
        await store.read(f"{prefix}a/b/c", max_bytes=1)


async def test_more_than_max_bytes_is_not_read(store: ArtifactStore, prefix: str) -> None:
    await store.write(f"{prefix}a", b"12345")
    with pytest.raises(ArtifactTooLarge, match="over 4 bytes"):
        await store.read(f"{prefix}a", max_bytes=4)


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, 1, LARGE[:1]),
        (0, len(LARGE) + 1, LARGE),
        (10, 20, LARGE[10:30]),
        (CHUNK_BYTES - 1, CHUNK_BYTES + 2, LARGE[CHUNK_BYTES - 1 : 2 * CHUNK_BYTES + 1]),
        (4 * MIB - 3, 6, LARGE[4 * MIB - 3 : 4 * MIB + 3]),
        (len(LARGE) - 5, None, LARGE[-5:]),
        (len(LARGE) - 5, 50, LARGE[-5:]),
        (len(LARGE), None, b""),
        (len(LARGE) + 7, 3, b""),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else str(value),
)
async def test_a_part_is_read(
    store: ArtifactStore, prefix: str, start: int, length: int | None, expected: bytes
) -> None:
    await store.write(f"{prefix}large", LARGE)
    assert await content(store, f"{prefix}large", start=start, length=length) == expected


@pytest.mark.parametrize(("start", "length"), [(-1, None), (0, 0), (0, -1)])
async def test_a_part_that_can_not_be_is_refused(
    store: ArtifactStore, start: int, length: int | None
) -> None:
    with pytest.raises(ValueError, match="not a range"):
        async with store.open("a", start=start, length=length):
            pass


@pytest.mark.parametrize(
    "key",
    ["", "/", "/etc", "a/", "a//b", "..", "a/../b", "a/.", ".hidden", "a\0b", "a\\b", "a b", "é", "a\n"],
)
async def test_a_key_that_could_lead_elsewhere_is_refused(store: ArtifactStore, key: str) -> None:
    with pytest.raises(ValueError, match="not an artifact key"):
        await store.read(key, max_bytes=1)
    with pytest.raises(ValueError, match="not an artifact key"):
        await store.write(key, b"x")
    with pytest.raises(ValueError, match="not an artifact key"):
        await store.exists(key)
    with pytest.raises(ValueError, match="not an artifact key"):
        async with store.open(key):
            pass


@pytest.mark.parametrize("key", ["a" * 256, "/".join(["a" * 200] * 6)], ids=["segment", "whole"])
async def test_a_key_that_is_too_long_for_either_is_refused(store: ArtifactStore, key: str) -> None:
    with pytest.raises(ValueError, match="not an artifact key"):
        await store.write(key, b"x")


@pytest.mark.parametrize("prefix", ["", "/", "a", "../", "a/../", "./"])
async def test_a_prefix_that_could_reach_further_is_refused(store: ArtifactStore, prefix: str) -> None:
    with pytest.raises(ValueError, match="not an artifact"):
        await store.delete_prefix(prefix)


async def test_deleting_a_prefix_leaves_its_neighbours(store: ArtifactStore, prefix: str) -> None:
    for key in ("p1/blobs/a", "p1/blobs/b", "p1/d1/manifest.json", "p10/blobs/a", "p1.old"):
        await store.write(f"{prefix}{key}", b"x")
    assert await store.delete_prefix(f"{prefix}p1/") == 3
    assert not await store.exists(f"{prefix}p1/blobs/a")
    assert await store.exists(f"{prefix}p10/blobs/a")
    assert await store.exists(f"{prefix}p1.old")
    assert await store.delete_prefix(f"{prefix}p1/") == 0


async def test_deleting_a_prefix_deletes_more_than_a_page_of_keys(
    store: ArtifactStore, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "DELETE_BATCH_KEYS", 5)
    for number in range(12):
        await store.write(f"{prefix}{number}", b"x")
    assert await store.delete_prefix(prefix) == 12
    assert not await store.exists(f"{prefix}11")


async def test_a_reader_sees_all_of_the_old_or_all_of_the_new(store: ArtifactStore, prefix: str) -> None:
    old, new = b"o" * MIB, b"n" * MIB
    await store.write(f"{prefix}a", old)
    writing = asyncio.ensure_future(_write_in_turn(store, f"{prefix}a", (new, old) * 5))
    while not writing.done():
        assert await store.read(f"{prefix}a", max_bytes=MIB) in (old, new)
    await writing


async def _write_in_turn(store: ArtifactStore, key: str, versions: tuple[bytes, ...]) -> None:
    for data in versions:
        await store.write(key, data)


async def test_a_reader_may_leave_early_any_number_of_times(store: ArtifactStore, prefix: str) -> None:
    """More often than there are connections in the pool."""
    await store.write(f"{prefix}large", LARGE)
    for _ in range(bucket.MAX_CONNECTIONS + 10):
        async with store.open(f"{prefix}large") as reader:
            async for chunk in reader:
                assert chunk
                break


async def test_a_reader_that_is_cancelled_lets_go(store: ArtifactStore, prefix: str) -> None:
    await store.write(f"{prefix}large", LARGE)
    for turn in range(50):
        reading = asyncio.ensure_future(content(store, f"{prefix}large"))
        for _ in range(turn):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert await content(store, f"{prefix}large") == LARGE


async def test_a_store_that_works_passes_its_check(store: ArtifactStore) -> None:
    await store.check()
