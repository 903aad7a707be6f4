"""The artifact store as plain files: a key is a path under one root."""

import asyncio
import fcntl
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from scalemesh.artifacts.store import (
    CHUNK_BYTES,
    ArtifactNotFound,
    ArtifactReader,
    ArtifactTooLarge,
    FilePart,
    StoreUnavailable,
    check_key,
    check_prefix,
    check_range,
)
from scalemesh.tasks import to_its_end

_ASIDE = ".write-"


class DirectoryStore:
    """Files under ``root``, which exists and is the server's and the builder's alone.

    A key can not lead out of ``root`` (``check_key``); a symbolic link inside it could, and is taken to be
    the operator's wish. Every call to the file system runs in a thread: a disk may be slow or far away.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    def url(self) -> str:
        return str(self._root)

    async def read(self, key: str, *, max_bytes: int) -> bytes:
        return await asyncio.to_thread(_read, self._path(key), key, max_bytes)

    @asynccontextmanager
    async def open(
        self, key: str, *, start: int = 0, length: int | None = None
    ) -> AsyncIterator[ArtifactReader]:
        check_range(start, length)
        opened = await _open_in_thread(self._path(key), key, start, length)
        try:
            async with aclosing(_chunks(opened, key)) as chunks:
                yield ArtifactReader(chunks, opened.bytes, FilePart(opened.file, start))
        finally:
            # In a thread as well: closing waits for a read that a cancelled task left behind. To its end: a
            # cancel would take it from the threads' queue.
            await to_its_end(asyncio.to_thread(opened.file.close))

    async def write(self, key: str, data: bytes) -> None:
        await asyncio.to_thread(_write, self._root, self._path(key), data)

    async def exists(self, key: str) -> bool:
        return await asyncio.to_thread(_exists, self._path(key))

    async def delete_prefix(self, prefix: str) -> int:
        return await asyncio.to_thread(_delete_tree, self._root / check_prefix(prefix))

    async def remove_left(self) -> None:
        """Remove what servers that were killed have left half written."""
        await asyncio.to_thread(_remove_left, self._root)

    async def check(self) -> None:
        await asyncio.to_thread(_check_writable, self._root)

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file with ``bytes`` to send, all of them already read where they are one chunk.

    Most files are, which so cost one trip to a thread before their first byte, not two.
    """

    file: BinaryIO
    whole: bytes
    bytes: int


async def _open_in_thread(path: Path, key: str, start: int, length: int | None) -> _Opened:
    opening = asyncio.ensure_future(asyncio.to_thread(_open, path, key, start, length))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        # The thread can't be stopped: the file it is about to open still needs somebody to close it.
        opening.add_done_callback(_close_unwanted)
        raise


def _close_unwanted(opening: asyncio.Future[_Opened]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().file.close()


async def _chunks(opened: _Opened, key: str) -> AsyncGenerator[bytes, None]:
    left = opened.bytes
    chunk = opened.whole
    while left:
        chunk = chunk or await asyncio.to_thread(_read_chunk, opened.file, min(left, CHUNK_BYTES))
        if not chunk:
            raise StoreUnavailable(f"artifact {key} ended {left} bytes early")
        left -= len(chunk)
        yield chunk
        chunk = b""


def _open(path: Path, key: str, start: int, length: int | None) -> _Opened:
    with _translated(key):
        file = path.open("rb")
        try:
            there = max(os.fstat(file.fileno()).st_size - start, 0)
            wanted = there if length is None else min(length, there)
            file.seek(start)
            return _Opened(file, file.read(wanted) if wanted <= CHUNK_BYTES else b"", wanted)
        except BaseException:
            file.close()
            raise


def _read_chunk(file: BinaryIO, size: int) -> bytes:
    with _translated():
        return file.read(size)


def _read(path: Path, key: str, max_bytes: int) -> bytes:
    with _translated(key), path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > max_bytes:
            raise ArtifactTooLarge(key, max_bytes=max_bytes)
        return file.read()


def _exists(path: Path) -> bool:
    with _translated():
        return path.is_file()


def _write(root: Path, path: Path, data: bytes) -> None:
    # The temporary file comes first, so that a root that is gone (a volume not mounted) is not made anew.
    with _translated():
        aside = create_aside(root)
        try:
            with aside.file as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # or a power cut could leave the new name with no bytes
            path.parent.mkdir(parents=True, exist_ok=True)
            aside.path.replace(path)
        except BaseException:
            aside.path.unlink(missing_ok=True)
            raise


class Aside(NamedTuple):
    """A file under a name no key can have, to be renamed when whole: a name never stands for half a file."""

    file: BinaryIO
    path: Path


def create_aside(root: Path) -> Aside:
    """An empty one in ``root``. While ``file`` is open, nobody's ``remove_left`` takes it."""
    fd, path = tempfile.mkstemp(prefix=_ASIDE, dir=root)
    with suppress(OSError):  # a file system without locks: then nobody can take it for left
        fcntl.flock(fd, fcntl.LOCK_SH)
    return Aside(os.fdopen(fd, "w+b"), Path(path))


def _remove_left(root: Path) -> None:
    for path in root.glob(f"{_ASIDE}*"):
        with suppress(OSError), path.open("rb") as file:  # held by a writer, or gone by now
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _delete_tree(top: Path) -> int:
    deleted = 0
    with _translated():
        for directory, subdirectories, files in os.walk(top, topdown=False, onerror=_raise_unless_gone):
            for name in files:
                with suppress(FileNotFoundError):
                    Path(directory, name).unlink()
                    deleted += 1
            for name in subdirectories:
                _remove_if_empty(Path(directory, name))
        _remove_if_empty(top)
    return deleted


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _remove_if_empty(directory: Path) -> None:
    # Not empty: a writer was quicker. Its key stays, as one would that was put into S3 after the listing.
    with suppress(OSError):
        directory.rmdir()


def _check_writable(root: Path) -> None:
    with _translated(), tempfile.TemporaryFile(dir=root) as file:
        file.write(b"a full or read-only disk fails here")
        file.flush()


@contextmanager
def _translated(missing_key: str | None = None) -> Iterator[None]:
    """What the file system says, in the store's words. ``missing_key`` is the one being read, if one is."""
    try:
        yield
    except OSError as error:
        if missing_key and isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
            raise ArtifactNotFound(missing_key) from error
        raise StoreUnavailable(f"the artifact directory failed: {error.strerror or error}") from error
