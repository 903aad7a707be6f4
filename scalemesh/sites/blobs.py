"""Where a file's bytes are. Content is named by its hash: nothing kept is ever wrong, only not asked for."""

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias

from scalemesh import keys
from scalemesh.artifacts.store import ArtifactReader, ArtifactStore
from scalemesh.model import ProjectID
from scalemesh.sites.counters import Counters
from scalemesh.sites.disk import DiskCache
from scalemesh.sites.manifest import BlobDamaged
from scalemesh.sites.once import Once

MAX_BLOB_BYTES = 1024 * 1024
"""Pages, scripts, styles and most pictures. What is larger would push out dozens of those."""

BlobID: TypeAlias = tuple[ProjectID, str]
"""The project and the SHA-256 of the content."""


class BlobCache:
    """Memory, then ``disk`` if there is one, then the store.

    Memory has the blobs of at most ``MAX_BLOB_BYTES`` asked for last, of at most ``max_bytes`` together.
    """

    def __init__(
        self, store: ArtifactStore, counters: Counters, *, max_bytes: int, disk: DiskCache | None = None
    ) -> None:
        self._store = store
        self._disk = disk
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
        data = await self._read_below(blob, size)
        self._kept[blob] = data
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._kept.popitem(last=False)[1])
        return data

    async def _read_below(self, blob: BlobID, size: int) -> bytes:
        if self._disk is not None and (kept := await self._disk.read(*blob, size=size)) is not None:
            self._counters.disk += 1
            return kept
        self._counters.store += 1
        key = keys.blob(*blob)
        data = await self._store.read(key, max_bytes=size)
        if len(data) != size:
            raise BlobDamaged(f"{key} has {len(data)} bytes, not {size}")
        if self._disk is not None:
            self._disk.keep(*blob, data)
        return data

    @asynccontextmanager
    async def open(
        self, blob: BlobID, *, start: int, length: int, whole: bool
    ) -> AsyncIterator[ArtifactReader]:
        """A reader of exactly ``length`` bytes from ``start``, of a blob of any size that is not in memory.

        A ``whole`` one is kept on the disk, and many who miss it share its way there.
        Raises ``BlobDamaged`` and what a store's ``open`` raises.
        """
        async with AsyncExitStack() as stack:
            reader = None
            if self._disk is not None:
                reader = await stack.enter_async_context(self._disk.open(*blob, start=start, length=length))
                if reader is not None and reader.bytes == length:
                    self._counters.disk += 1
                    yield reader
                    return
                if reader is not None:
                    await self._disk.discard(*blob)
            self._counters.store += 1
            reader = None
            if self._disk is not None and whole:
                reader = await stack.enter_async_context(self._disk.fetch(*blob, size=length))
            if reader is None:
                key = keys.blob(*blob)
                reader = await stack.enter_async_context(self._store.open(key, start=start, length=length))
                if reader.bytes != length:
                    raise BlobDamaged(f"{key} has {reader.bytes} bytes from {start}, not {length}")
            yield reader
