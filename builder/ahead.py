"""Reads the archive that a build will most likely restore, beside the clone that says which it is."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from builder import keys
from builder.archive import decompressed
from builder.contract import Contract
from builder.errors import StoreError
from builder.store import Store

DEPENDENCIES = "dependencies-"
SUFFIX = ".tar.zst"
"""Of an archive's name. In between is its key."""

AHEAD_BYTES = 64 * 1024**2
"""Of the decompressed archive, in memory until it is restored. They take about as long as a small clone."""


class ReadAhead:
    """The archives of a project; the beginning of its newest dependencies is read before it is asked for."""

    def __init__(self, store: Store, project_id: str, *, begin: bool) -> None:
        self._store = store
        self._prefix = keys.caches(project_id)
        self._held: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._rest: AsyncGenerator[bytes] | None = None
        self._newest = asyncio.create_task(self._find_newest(begin=begin), name="find dependencies")
        self._reading = asyncio.create_task(self._read(), name="read dependencies ahead")
        self._reading.add_done_callback(lambda _: self._news.set())

    async def tar(self, name: str) -> AsyncGenerator[bytes]:
        """The archive ``name``, decompressed, once. Raises ``ArchiveDamaged`` and ``StoreError``."""
        if await self._newest != name:
            self._let_go()
            rest = self._open(name)
        else:
            while self._held or not self._reading.done():
                if self._held:
                    yield self._held.popleft()
                else:
                    self._news.clear()
                    await self._news.wait()
            await self._reading
            assert self._rest is not None
            rest = self._rest
        async with aclosing(rest):
            async for piece in rest:
                yield piece

    async def close(self) -> None:
        self._newest.cancel()
        self._let_go()
        # Whoever wanted what they read has had their errors.
        await asyncio.gather(self._newest, self._reading, return_exceptions=True)
        if self._rest is not None:
            await self._rest.aclose()

    def _let_go(self) -> None:
        self._reading.cancel()
        self._held.clear()

    async def _find_newest(self, *, begin: bool) -> str | None:
        if not begin:
            return None
        try:
            archives = await self._store.list_objects(self._prefix)
        except StoreError:
            # It is read when it is asked for, and then says what is wrong.
            return None
        dated = [
            (archive.modified, archive.name)
            for archive in archives
            if archive.modified is not None and archive.name.startswith(DEPENDENCIES)
        ]
        return max(dated)[1] if dated else None

    async def _read(self) -> None:
        name = await self._newest
        if name is None:
            return
        self._rest = self._open(name)
        held_bytes = 0
        async for piece in self._rest:
            self._held.append(piece)
            self._news.set()
            held_bytes += len(piece)
            if held_bytes >= AHEAD_BYTES:
                return

    def _open(self, name: str) -> AsyncGenerator[bytes]:
        return decompressed(self._store.read(self._prefix + name))


@asynccontextmanager
async def read_ahead(contract: Contract, store: Store) -> AsyncIterator[ReadAhead]:
    """Reads ahead inside the block, unless the deployment is to use no cache."""
    archives = ReadAhead(store, contract.project_id, begin=not contract.no_cache)
    try:
        yield archives
    finally:
        await archives.close()
