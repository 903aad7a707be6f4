"""The artifact store in S3, or in anything that speaks its protocol."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from builder.errors import NotStored, StoreError
from builder.stored import Stored

CONNECTIONS = 16
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30
ATTEMPTS = 5
CHUNK_BYTES = 1024**2


class S3Store:
    """One bucket. The client is made at first use, since importing it takes longer than a small clone.

    Credentials, region and profile are boto's to find.
    """

    def __init__(self, bucket: str, endpoint_url: str | None) -> None:
        self._bucket = bucket
        self._endpoint_url = endpoint_url
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._client: Any = None

    async def __aenter__(self) -> "S3Store":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def list_objects(self, prefix: str) -> list[Stored]:
        client = await self._open()
        found: list[Stored] = []
        try:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            async for page in pages:
                found += [
                    Stored(item["Key"].removeprefix(prefix), item["Size"], item["LastModified"])
                    for item in page.get("Contents", ())
                ]
        except _errors() as error:
            raise StoreError(f"listing {prefix}: {error}") from error
        return found

    async def read(self, key: str) -> AsyncIterator[bytes]:
        client = await self._open()
        try:
            answer = await client.get_object(Bucket=self._bucket, Key=key)
            async with answer["Body"]:
                while chunk := await answer["Body"].read(CHUNK_BYTES):
                    yield chunk
        except client.exceptions.NoSuchKey as error:
            raise NotStored(f"reading {key}: {error}") from error
        except _errors() as error:
            raise StoreError(f"reading {key}: {error}") from error

    async def put(self, key: str, content: bytes, media: str) -> None:
        client = await self._open()
        try:
            await client.put_object(Bucket=self._bucket, Key=key, Body=content, ContentType=media)
        except _errors() as error:
            raise StoreError(f"writing {key}: {error}") from error

    async def add(self, contents: Mapping[str, bytes]) -> None:
        for key, content in contents.items():
            await self.put(key, content, "application/octet-stream")

    async def settle(self) -> None:
        """What S3 has taken it keeps."""

    async def put_file(self, key: str, path: Path) -> None:
        client = await self._open()
        try:
            with path.open("rb") as file:
                await client.upload_fileobj(file, self._bucket, key)
        except OSError as error:
            raise StoreError(f"reading {path.name}: {error.strerror}") from error
        except _errors() as error:
            raise StoreError(f"writing {key}: {error}") from error

    async def delete(self, key: str) -> None:
        client = await self._open()
        try:
            await client.delete_object(Bucket=self._bucket, Key=key)
        except _errors() as error:
            raise StoreError(f"removing {key}: {error}") from error

    async def _open(self) -> Any:  # aiobotocore makes its client classes as it runs
        async with self._opening:
            if self._client is None:
                aioboto3 = await asyncio.to_thread(importlib.import_module, "aioboto3")
                config = importlib.import_module("aiobotocore.config").AioConfig(
                    connect_timeout=CONNECT_TIMEOUT_S,
                    read_timeout=READ_TIMEOUT_S,
                    max_pool_connections=CONNECTIONS,
                    retries={"mode": "standard", "max_attempts": ATTEMPTS},
                    # Other servers than AWS's do not all know the newer checksums.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                    s3={"addressing_style": "path"} if self._endpoint_url else {},
                )
                client = aioboto3.Session().client("s3", endpoint_url=self._endpoint_url, config=config)
                try:
                    self._client = await self._stack.enter_async_context(client)
                except _errors() as error:
                    raise StoreError(f"opening the bucket: {error}") from error
        return self._client


def _errors() -> tuple[type[Exception], ...]:
    botocore = importlib.import_module("botocore.exceptions")
    # Of the transfer manager, which puts its own around botocore's.
    boto3 = importlib.import_module("boto3.exceptions")
    return (botocore.BotoCoreError, botocore.ClientError, boto3.Boto3Error)
