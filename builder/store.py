"""Where artifacts go. ``open_store`` chooses; ``store_directory`` and ``store_s3`` do the work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from builder.contract import Contract
from builder.store_directory import DirectoryStore
from builder.store_s3 import S3Store


class Store(Protocol):
    """Keys are ``__output/…`` with ``/`` between names. Both methods raise ``StoreError``."""

    async def list_names(self, prefix: str) -> frozenset[str]:
        """What follows ``prefix`` in each key that begins with it; ``prefix`` ends with ``/``."""

    async def put(self, key: str, content: bytes, media: str) -> None:
        """Stores ``content`` under ``key``. A reader sees the whole of it or nothing new."""


@asynccontextmanager
async def open_store(contract: Contract) -> AsyncIterator[Store]:
    """The store that ``ARTIFACTS`` names, open as long as the scope is."""
    if not contract.artifacts.startswith("s3://"):
        yield DirectoryStore(Path(contract.artifacts))
        return
    async with S3Store(contract.artifacts.removeprefix("s3://"), contract.s3_endpoint_url) as store:
        yield store
