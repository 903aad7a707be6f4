"""The artifact store as a bucket of any S3, whose connections and waits are bounded."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from hashlib import sha256

import aiohttp
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

from scalemesh import keys
from scalemesh.artifacts.bucket import ERRORS, Bucket, open_bucket
from scalemesh.artifacts.grants import make_grant
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
from scalemesh.model import ProjectID

CALL_TIMEOUT_S = 15
"""From asking until S3's first byte, with the queue for a connection and the retries inside it."""

MAX_CACHES = 8
MAX_CACHES_BYTES = 2 * 1024**3
"""Of a project, as the builder's contract has it."""

DELETE_BATCH_KEYS = 1000  # S3's limit for one DeleteObjects


@asynccontextmanager
async def open_s3_store(
    bucket: str,
    *,
    endpoint_url: str | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session: AioSession | None = None,
) -> AsyncIterator["S3Store"]:
    """A store in ``bucket``, which exists, as long as the block. Nothing is contacted.

    ``endpoint_url`` names an S3 that is not AWS. What is not given is found as boto finds it: environment,
    profile, task role; by ``session`` where others share it.
    """
    async with open_bucket(
        bucket,
        endpoint_url=endpoint_url,
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        session=session,
    ) as opened:
        yield S3Store(opened)


class S3Store:
    """Objects of ``bucket``; whoever opened it closes it."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    @property
    def url(self) -> str:
        return f"s3://{self._bucket.name}"

    async def read(self, key: str, *, max_bytes: int) -> bytes:
        check_key(key)
        with _translated(key):
            data = await self._bucket.fetch(key, max_bytes=max_bytes)
        if data is not None:
            return data
        async with self.open(key) as reader:
            if reader.bytes > max_bytes:
                raise ArtifactTooLarge(key, max_bytes=max_bytes)
            return b"".join([chunk async for chunk in reader])

    @asynccontextmanager
    async def open(
        self, key: str, *, start: int = 0, length: int | None = None
    ) -> AsyncIterator[ArtifactReader]:
        check_range(start, length)
        wanted = {} if start == 0 and length is None else {"Range": _range_header(start, length)}
        try:
            answer = await self._request("GET", key, headers=wanted)
        except _BeyondTheEnd:
            yield ArtifactReader(_chunks(aiohttp.EMPTY_PAYLOAD, key, 0), 0)
            return
        try:
            size = _size(answer)
            async with aclosing(_chunks(answer.content, key, size)) as chunks:
                yield ArtifactReader(chunks, size)
        finally:
            # Read to its end, the connection is back in the pool already. Else it is closed: reading on
            # what nobody wants only to keep it could take for ever.
            answer.close()

    async def write(self, key: str, data: bytes) -> None:
        answer = await self._request("PUT", key, content=data)
        answer.release()

    async def exists(self, key: str) -> bool:
        try:
            answer = await self._request("HEAD", key)
        except ArtifactNotFound:
            return False
        answer.release()
        return True

    async def delete_prefix(self, prefix: str) -> int:
        check_prefix(prefix)
        deleted = 0
        pages = self._bucket.client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket.name, Prefix=prefix, PaginationConfig={"PageSize": DELETE_BATCH_KEYS}
        )
        with _translated():
            async for page in pages:
                keys = [{"Key": item["Key"]} for item in page.get("Contents", ())]
                if keys:
                    await self._delete(keys)
                    deleted += len(keys)
        return deleted

    async def grant(self, project_id: ProjectID, manifest: str | None, deadline: datetime) -> str:
        with _translated():
            readable = await self._kept_caches(project_id)
            if manifest is not None:
                readable.append(manifest)
            return await make_grant(
                self._bucket,
                prefix=keys.project_prefix(project_id),
                readable=readable,
                now=datetime.now(UTC),
                deadline=deadline,
            )

    async def _kept_caches(self, project_id: ProjectID) -> list[str]:
        """The newest archives. The others are deleted here, since no grant lets a builder do it."""
        answer = await self._bucket.client.list_objects_v2(
            Bucket=self._bucket.name, Prefix=keys.caches(project_id)
        )
        found = sorted(answer.get("Contents", ()), key=lambda item: item["LastModified"], reverse=True)
        sizes = itertools.accumulate(item["Size"] for item in found)
        fits = [number < MAX_CACHES and total <= MAX_CACHES_BYTES for number, total in enumerate(sizes)]
        if evicted := [{"Key": item["Key"]} for item, kept in zip(found, fits, strict=True) if not kept]:
            await self._delete(evicted)
        return [item["Key"] for item, kept in zip(found, fits, strict=True) if kept]

    async def check(self) -> None:
        with _translated():
            # As objects are read: boto's client would follow to another region, where they are not found.
            async with asyncio.timeout(CALL_TIMEOUT_S):
                answer = await self._bucket.request("HEAD", "")
        answer.release()

    async def _delete(self, keys: list[dict[str, str]]) -> None:
        answer = await self._bucket.client.delete_objects(
            Bucket=self._bucket.name, Delete={"Objects": keys, "Quiet": True}
        )
        if errors := answer.get("Errors"):
            raise StoreUnavailable(f"S3 kept {len(errors)} keys: {errors[0].get('Code')}")

    async def _request(
        self, method: str, key: str, *, headers: Mapping[str, str] | None = None, content: bytes = b""
    ) -> aiohttp.ClientResponse:
        check_key(key)
        with _translated(key):
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await self._bucket.request(
                    method, key, headers=headers, content=content, content_sha256=sha256(content).hexdigest()
                )


class _BeyondTheEnd(StoreUnavailable):
    """S3's word for a range that starts after the object's last byte; the contract's is an empty reader."""


def _range_header(start: int, length: int | None) -> str:
    return f"bytes={start}-" if length is None else f"bytes={start}-{start + length - 1}"


def _size(answer: aiohttp.ClientResponse) -> int:
    if answer.content_length is None:
        raise StoreUnavailable("S3 does not say how much it sends")
    return answer.content_length


async def _chunks(body: aiohttp.StreamReader, key: str, size: int) -> AsyncGenerator[bytes, None]:
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
    """What boto and aiohttp raise, in the store's words. ``key`` is the one asked for, if one is."""
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
    except ERRORS as error:
        raise StoreUnavailable(f"S3 did not answer: {type(error).__name__}") from error
