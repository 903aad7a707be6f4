"""Small files in memory: content is named by its hash, so nothing here is ever wrong, only not asked for."""

from collections import OrderedDict
from typing import TypeAlias

from scalemesh import keys
from scalemesh.artifacts.store import ArtifactStore
from scalemesh.model import ProjectID
from scalemesh.sites.counters import Counters
from scalemesh.sites.once import Once

MAX_BLOB_BYTES = 1024 * 1024
"""Pages, scripts, styles and most pictures. What is larger would push out dozens of those."""

BlobID: TypeAlias = tuple[ProjectID, str]
"""The project and the SHA-256 of the content."""


class BlobDamaged(Exception):
    """The store has less than a manifest says."""


class BlobCache:
    """The blobs of at most ``MAX_BLOB_BYTES`` asked for last, of at most ``max_bytes`` together."""

    def __init__(self, store: ArtifactStore, counters: Counters, *, max_bytes: int) -> None:
        self._store = store
        self._counters = counters
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[BlobID, bytes] = OrderedDict()
        self._reads: Once[BlobID, bytes] = Once()

    def peek(self, blob: BlobID) -> bytes | None:
        """The content, if it is here."""
        data = self._kept.get(blob)
        if data is not None:
            self._kept.move_to_end(blob)
        return data

    async def get(self, blob: BlobID, *, size: int) -> bytes:
        """The content, of ``size`` bytes, at most ``MAX_BLOB_BYTES``. Many who miss it wait for one read.

        Raises ``BlobDamaged`` and what a store's ``read`` raises.
        """
        data = self.peek(blob)
        if data is not None:
            self._counters.memory += 1
            return data
        return await self._reads.get(blob, lambda: self._read(blob, size))

    async def _read(self, blob: BlobID, size: int) -> bytes:
        if (kept := self.peek(blob)) is not None:
            # Somebody who waited longer has read it already.
            return kept
        self._counters.store += 1
        key = keys.blob(*blob)
        data = await self._store.read(key, max_bytes=size)
        if len(data) != size:
            raise BlobDamaged(f"{key} has {len(data)} bytes, not {size}")
        self._kept[blob] = data
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._kept.popitem(last=False)[1])
        return data
