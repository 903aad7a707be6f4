"""The artifact store in S3, or in anything that speaks its protocol."""

import asyncio
import importlib
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from builder.errors import NotStored, StoreError
from builder.stored import Stored
from builder.together import together

if TYPE_CHECKING:
    from builder.bucket import Bucket

CHUNK_BYTES = 1024**2

PUTS = 32
"""At once: as many as there are connections. The others wait before they are signed."""


class S3Store:
    """One bucket. It is opened at first use, since importing boto takes longer than a small clone."""

    def __init__(self, name: str, endpoint_url: str | None) -> None:
        self._name = name
        self._endpoint_url = endpoint_url
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._bucket: Bucket | None = None
        self._puts = asyncio.Semaphore(PUTS)

    async def __aenter__(self) -> "S3Store":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def list_objects(self, prefix: str) -> list[Stored]:
        bucket = await self._open()
        with _translated(f"listing {prefix}"):
            pages = bucket.client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
            return [
                Stored(item["Key"].removeprefix(prefix), item["Size"], item["LastModified"])
                async for page in pages
                for item in page.get("Contents", ())
            ]

    async def read(self, key: str) -> AsyncGenerator[bytes]:
        bucket = await self._open()
        with _translated(f"reading {key}"):
            async with await bucket.request("GET", key) as answer:
                async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                    yield chunk

    async def put(self, key: str, content: bytes, media: str) -> None:
        await self._put(key, content, media, sha256(content).hexdigest())

    async def add(self, blobs: Mapping[str, bytes]) -> None:
        await together(
            self._put(key, content, "application/octet-stream", key.rpartition("/")[2])
            for key, content in blobs.items()
        )

    async def settle(self) -> None:
        """What S3 has taken it keeps."""

    async def put_file(self, key: str, path: Path) -> None:
        bucket = await self._open()
        try:
            file = path.open("rb")
        except OSError as error:
            raise StoreError(f"reading {path.name}: {error.strerror}") from error
        with file, _translated(f"writing {key}"):
            await bucket.client.upload_fileobj(file, self._name, key)

    async def delete(self, key: str) -> None:
        bucket = await self._open()
        with _translated(f"removing {key}"):
            (await bucket.request("DELETE", key)).release()

    async def _put(self, key: str, content: bytes, media: str, content_sha256: str) -> None:
        bucket = await self._open()
        with _translated(f"writing {key}"):
            async with self._puts:
                answer = await bucket.request(
                    "PUT",
                    key,
                    headers={"Content-Type": media},
                    content=content,
                    content_sha256=content_sha256,
                )
                answer.release()

    async def _open(self) -> "Bucket":
        async with self._opening:
            if self._bucket is None:
                module = await asyncio.to_thread(importlib.import_module, "builder.bucket")
                opening = module.open_bucket(self._name, self._endpoint_url)
                try:
                    opened: Bucket = await self._stack.enter_async_context(opening)
                except module.ERRORS as error:
                    raise StoreError(f"opening the bucket: {error}") from error
                self._bucket = opened
        return self._bucket


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """What boto and aiohttp raise, in the store's words."""
    from botocore.exceptions import ClientError

    from builder.bucket import ERRORS

    try:
        yield
    except ERRORS as error:
        kind = StoreError
        if isinstance(error, ClientError) and error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            kind = NotStored
        raise kind(f"{doing}: {error or type(error).__name__}") from error
