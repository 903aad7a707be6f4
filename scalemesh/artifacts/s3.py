"""The artifact store as a bucket of any S3: one client, whose pool and waits are bounded."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

import aioboto3
import aiohttp
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from scalemesh.artifacts.store import (
    CHUNK_BYTES,
    ArtifactNotFound,
    ArtifactReader,
    ArtifactTooLarge,
    StoreUnavailable,
    check_key,
    check_prefix,
    check_range,
)

MAX_CONNECTIONS = 128
"""A connection is held for as long as a visitor takes to read a large file; past this many, calls queue."""

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10
"""Between two bytes. A reader whose consumer waits has stopped reading, and is not timed."""

CALL_TIMEOUT_S = 15
"""From asking until S3's first byte, with the queue for a connection and one retry inside it."""

DELETE_BATCH_KEYS = 1000  # S3's limit for one DeleteObjects


@asynccontextmanager
async def open_s3_store(
    bucket: str,
    *,
    endpoint_url: str | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
) -> AsyncIterator["S3Store"]:
    """A store in ``bucket``, which exists, with one client that lives as long as the block.

    ``endpoint_url`` names an S3 that is not AWS; its region is us-east-1 unless the environment has one.
    Credentials that are not given are found as boto finds them: environment, profile, task role.
    """
    session = aioboto3.Session(aws_access_key_id=access_key_id, aws_secret_access_key=secret_access_key)
    config = Config(
        # bucket.{endpoint} does not resolve for most servers that are not AWS.
        s3={"addressing_style": "path" if endpoint_url else "auto"},
        max_pool_connections=MAX_CONNECTIONS,
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": 2},
        # botocore's newer default sends checksum trailers that many S3-compatible servers refuse.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    region = session.region_name or ("us-east-1" if endpoint_url else None)
    async with session.client("s3", region_name=region, endpoint_url=endpoint_url, config=config) as client:
        yield S3Store(bucket, client)


class S3Store:
    """Objects of ``bucket``. ``client`` is an aiobotocore S3 client; whoever opened it closes it."""

    def __init__(self, bucket: str, client: Any) -> None:
        self._bucket = bucket
        self._client = client

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}"

    async def read(self, key: str, *, max_bytes: int) -> bytes:
        async with self.open(key) as reader:
            if reader.bytes > max_bytes:
                raise ArtifactTooLarge(key, max_bytes=max_bytes)
            return b"".join([chunk async for chunk in reader])

    @asynccontextmanager
    async def open(
        self, key: str, *, start: int = 0, length: int | None = None
    ) -> AsyncIterator[ArtifactReader]:
        check_range(start, length)
        body, size = await self._get(key, start, length)
        try:
            async with aclosing(_chunks(body, key, size)) as chunks:
                yield ArtifactReader(chunks, size)
        finally:
            # Read to its end, the connection is back in the pool already. Else it is closed: reading on
            # what nobody wants only to keep it could take for ever.
            if body is not None:
                body.close()

    async def write(self, key: str, data: bytes) -> None:
        await self._call("put_object", key, Body=data)

    async def exists(self, key: str) -> bool:
        try:
            await self._call("head_object", key)
        except ArtifactNotFound:
            return False
        return True

    async def delete_prefix(self, prefix: str) -> int:
        check_prefix(prefix)
        deleted = 0
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": DELETE_BATCH_KEYS}
        )
        with _translated():
            async for page in pages:
                keys = [{"Key": item["Key"]} for item in page.get("Contents", ())]
                if keys:
                    await self._delete(keys)
                    deleted += len(keys)
        return deleted

    async def check(self) -> None:
        with _translated():
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self._client.head_bucket(Bucket=self._bucket)

    async def _get(self, key: str, start: int, length: int | None) -> tuple[Any, int]:
        """The object's body, unread, and its size in bytes. No body where the range begins after the end."""
        wanted = {} if start == 0 and length is None else {"Range": _range_header(start, length)}
        try:
            answer = await self._call("get_object", key, **wanted)
        except _BeyondTheEnd:
            return None, 0
        return answer["Body"], answer["ContentLength"]

    async def _delete(self, keys: list[dict[str, str]]) -> None:
        answer = await self._client.delete_objects(
            Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True}
        )
        if errors := answer.get("Errors"):
            raise StoreUnavailable(f"S3 kept {len(errors)} keys: {errors[0].get('Code')}")

    async def _call(self, operation: str, key: str, **arguments: Any) -> Any:
        check_key(key)
        with _translated(key):
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await getattr(self._client, operation)(Bucket=self._bucket, Key=key, **arguments)


class _BeyondTheEnd(StoreUnavailable):
    """S3's word for a range that starts after the object's last byte; the contract's is an empty reader."""


def _range_header(start: int, length: int | None) -> str:
    return f"bytes={start}-" if length is None else f"bytes={start}-{start + length - 1}"


async def _chunks(body: Any, key: str, size: int) -> AsyncGenerator[bytes, None]:
    left = size
    while left:
        with _translated(key):
            chunk = await body.read(CHUNK_BYTES)
        if not chunk:
            raise StoreUnavailable(f"artifact {key} ended {left} bytes early")
        left -= len(chunk)
        yield chunk


@contextmanager
def _translated(key: str | None = None) -> Iterator[None]:
    """What botocore and aiohttp raise, in the store's words. ``key`` is the one asked for, if one is."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        # A HEAD has no body to name the code in: botocore gives the status.
        if key and code in ("NoSuchKey", "404"):
            raise ArtifactNotFound(key) from error
        if code == "InvalidRange":
            raise _BeyondTheEnd("S3 has no such range") from error
        raise StoreUnavailable(f"S3 refused: {code}") from error
    except (BotoCoreError, aiohttp.ClientError, OSError) as error:
        raise StoreUnavailable(f"S3 did not answer: {type(error).__name__}") from error
