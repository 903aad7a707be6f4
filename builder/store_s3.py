"""The artifact store in S3, or in anything that speaks its protocol."""

import asyncio
import importlib
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any

from builder.errors import StoreError

CONNECTIONS = 16
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30
ATTEMPTS = 5


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

    async def list_names(self, prefix: str) -> frozenset[str]:
        client = await self._open()
        names: set[str] = set()
        try:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            async for page in pages:
                names.update(item["Key"].removeprefix(prefix) for item in page.get("Contents", ()))
        except _errors() as error:
            raise StoreError(f"listing {prefix}: {error}") from error
        return frozenset(names)

    async def put(self, key: str, content: bytes, media: str) -> None:
        client = await self._open()
        try:
            await client.put_object(Bucket=self._bucket, Key=key, Body=content, ContentType=media)
        except _errors() as error:
            raise StoreError(f"writing {key}: {error}") from error

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
    exceptions = importlib.import_module("botocore.exceptions")
    return (exceptions.BotoCoreError, exceptions.ClientError)
