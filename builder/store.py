"""Where artifacts go. ``open_store`` chooses; ``store_directory``, ``store_s3``, ``store_grant`` do it."""

import asyncio
import importlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from builder.contract import Contract
from builder.store_directory import DirectoryStore
from builder.store_s3 import S3Store
from builder.stored import Stored


class Store(Protocol):
    """Keys are ``__output/…`` with ``/`` between names. Every method raises ``StoreError``."""

    async def list_objects(self, prefix: str) -> list[Stored]:
        """The objects directly below ``prefix``, which ends with ``/``."""

    def read(self, key: str) -> AsyncGenerator[bytes]:
        """The object's content in pieces of at most some MiB. Raises ``NotStored``, a ``StoreError``."""

    async def put(self, key: str, content: bytes, media: str) -> None:
        """Stores ``content`` under ``key``. A reader sees the whole of it or nothing new."""

    async def add(self, blobs: Mapping[str, bytes]) -> None:
        """Stores some of many contents, by keys that end in their sha256. They are there after ``settle``."""

    async def settle(self) -> None:
        """Makes what was added durable, and then visible. A disk does it faster for all than for each."""

    async def put_file(self, key: str, path: Path) -> None:
        """The same with a file's content, which may be large. A loss of power may lose or damage it."""

    async def delete(self, key: str) -> None:
        """Removes the object, if it is there."""


@asynccontextmanager
async def open_store(contract: Contract) -> AsyncIterator[Store]:
    """The store that ``ARTIFACTS`` names, open as long as the scope is."""
    if not contract.artifacts.startswith("s3://"):
        async with DirectoryStore(Path(contract.artifacts)) as directory:
            yield directory
        return
    if contract.upload_grant is not None:
        # Its import takes as long as a small clone, and goes on beside nothing else yet.
        module = await asyncio.to_thread(importlib.import_module, "builder.store_grant")
        granted: Store
        async with module.GrantStore(
            contract.upload_grant, contract.project_id, contract.previous_manifest
        ) as granted:
            yield granted
        return
    async with S3Store(contract.artifacts.removeprefix("s3://"), contract.s3_endpoint_url) as store:
        yield store
