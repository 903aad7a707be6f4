"""A blob on its way to the disk, and at once to everybody who wants it."""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from scalemesh.artifacts.store import CHUNK_BYTES, StoreUnavailable


class Download:
    """Of ``size`` bytes. One writes (``begin``, ``advance``, ``fail``), others read what is there so far.

    The file is closed when nobody is ``using`` it any more.
    """

    task: asyncio.Task[None]
    """Whoever made the download owns it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._file: BinaryIO | None = None
        self._there = 0
        self._error: Exception | None = None
        self._users = 0
        self._moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @contextmanager
    def using(self) -> Iterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0 and self._file is not None:
                self._file.close()

    def begin(self, file: BinaryIO) -> None:
        self._file = file
        self._move()

    def advance(self, count: int) -> None:
        """That many more bytes are in the file, and flushed."""
        self._there += count
        self._move()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._move()

    async def begun(self) -> None:
        """Returns once there is something to read, or will be. Raises what it failed with."""
        while self._file is None:
            if self._error is not None:
                raise self._error
            await asyncio.shield(self._moved)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """All of it, as a reader of the store gives it. It has begun."""
        assert self._file is not None
        position = 0
        while position < self.size:
            while self._there == position:
                if self._error is not None:
                    raise StoreUnavailable(f"a download broke off: {self._error}") from self._error
                await asyncio.shield(self._moved)
            count = min(self._there - position, CHUNK_BYTES)
            try:
                chunk = await asyncio.to_thread(os.pread, self._file.fileno(), count, position)
            except OSError as error:
                raise StoreUnavailable(f"the disk cache failed: {error.strerror}") from error
            position += len(chunk)
            yield chunk

    def _move(self) -> None:
        self._moved.set_result(None)
        self._moved = asyncio.get_running_loop().create_future()
