"""A real store under observation, whose reads can be held back and broken."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from scalemesh.artifacts.store import ArtifactReader, ArtifactStore, Chunks, StoreUnavailable

WAIT_S = 60
POLL_S = 0.01


class WatchedStore:
    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self.gate = asyncio.Event()
        """Whole reads wait for it. It is open until a test clears it."""
        self.gate.set()
        self.reads: list[str] = []
        self.open_readers = 0
        self.streamed_bytes = 0
        self.breaks_after_bytes: int | None = None

    @property
    def url(self) -> str:
        return self._store.url

    async def read(self, key: str, *, max_bytes: int) -> bytes:
        self.reads.append(key)
        await self.gate.wait()
        return await self._store.read(key, max_bytes=max_bytes)

    @asynccontextmanager
    async def _watched(
        self, opening: AbstractAsyncContextManager[ArtifactReader]
    ) -> AsyncIterator[ArtifactReader]:
        async with opening as reader:
            self.open_readers += 1
            try:
                yield ArtifactReader(self._counted(reader), reader.bytes)
            finally:
                self.open_readers -= 1

    async def _counted(self, reader: ArtifactReader) -> Chunks:
        async for chunk in reader:
            if self.breaks_after_bytes is not None and self.streamed_bytes >= self.breaks_after_bytes:
                raise StoreUnavailable("broken by the test")
            self.streamed_bytes += len(chunk)
            yield chunk

    def open(
        self, key: str, *, start: int = 0, length: int | None = None
    ) -> AbstractAsyncContextManager[ArtifactReader]:
        return self._watched(self._store.open(key, start=start, length=length))

    async def write(self, key: str, data: bytes) -> None:
        await self._store.write(key, data)

    async def exists(self, key: str) -> bool:
        return await self._store.exists(key)

    async def delete_prefix(self, prefix: str) -> int:
        return await self._store.delete_prefix(prefix)

    async def check(self) -> None:
        await self._store.check()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not true():  # noqa: ASYNC110 (what is waited for is the state of sockets, which signal nobody)
            await asyncio.sleep(POLL_S)
