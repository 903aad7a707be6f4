"""The builder's store in S3, with a real server, and with one that fails at first."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from builder.errors import NotStored, StoreError
from builder.store_s3 import S3Store
from tests.artifacts.s3_server import S3Server
from tests.parts.scripted_s3 import DROP, scripted_s3

CONTENTS = (b"", b"a", b"b" * 2**21)
BLOBS = {f"__output/p/blobs/{sha256(content).hexdigest()}": content for content in CONTENTS}


@pytest.fixture
async def store(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[S3Store]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_access_key)
    async with S3Store(s3_server.bucket, s3_server.endpoint_url) as opened:
        yield opened


async def content(store: S3Store, key: str) -> bytes:
    return b"".join([chunk async for chunk in store.read(key)])


async def test_what_is_added_is_listed_and_read(store: S3Store) -> None:
    await store.add(BLOBS)
    listed = await store.list_objects("__output/p/blobs/")
    assert {(blob.name, blob.bytes) for blob in listed} == {
        (key.rpartition("/")[2], len(blob)) for key, blob in BLOBS.items()
    }
    for key, blob in BLOBS.items():
        assert await content(store, key) == blob


async def test_a_file_is_put_and_deleted(store: S3Store, tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"x" * 100)
    await store.put_file("__output/p/cache/a.tar.zst", tmp_path / "archive")
    assert await content(store, "__output/p/cache/a.tar.zst") == b"x" * 100
    for _ in range(2):
        await store.delete("__output/p/cache/a.tar.zst")
    with pytest.raises(NotStored):
        await content(store, "__output/p/cache/a.tar.zst")


async def test_a_server_that_fails_at_first_gets_every_blob(store: S3Store) -> None:
    """``store`` is for its credentials."""
    troubles: list[tuple[int, str] | str] = [(503, "SlowDown"), DROP, (500, "InternalError")]
    async with scripted_s3(troubles) as s3, S3Store("artifacts", s3.endpoint_url) as failing:
        await failing.add(BLOBS)
    taken = {asked.path.removeprefix("/artifacts/"): asked.body for asked in s3.asked[len(troubles) :]}
    assert taken == BLOBS


async def test_a_wrong_secret_is_a_store_error_that_does_not_show_it(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret-key")
    async with S3Store(s3_server.bucket, s3_server.endpoint_url) as store:
        with pytest.raises(StoreError, match="SignatureDoesNotMatch") as refused:
            await store.put("__output/p/a", b"x", "text/plain")
    assert "very-secret-key" not in str(refused.value)
