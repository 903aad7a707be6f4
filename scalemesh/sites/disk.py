"""Blobs on this machine's disk, in front of a store that is far away."""

import asyncio
import errno
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from scalemesh import keys
from scalemesh.artifacts.directory import Aside, DirectoryStore, create_aside
from scalemesh.artifacts.store import (
    ArtifactNotFound,
    ArtifactReader,
    ArtifactStore,
    ArtifactTooLarge,
    StoreUnavailable,
)
from scalemesh.model import ProjectID
from scalemesh.sites.download import Download
from scalemesh.sites.manifest import BlobDamaged
from scalemesh.tasks import end_tasks, to_its_end

log = logging.getLogger(__name__)

MAX_FILES = 100_000
"""A look through that many takes a thread half a second."""

MAX_WAITING_BYTES = 16 * 1024 * 1024
"""Of small blobs that were just read and are yet to be written. What does not fit is read again some day."""

GATHERING_S = 2.0
GATHERINGS = 5
"""Small blobs are written once none came for so long, at the latest after so many times of it, or when half
of what may wait does: making a file takes as much of a processor as fetching it, and visitors come in
bursts."""

MAX_DOWNLOADS = 16
"""At once; each has one of the store's connections. Past that a visitor has a connection of his own."""

SHARE = 16
"""A blob of more than a quarter, and what is written between two looks of more than a sixteenth of the limit,
would push out too much of the rest, or go too far beyond it."""

REST_S = 60.0
"""After the disk refused, being full for instance: until then all is as without it."""

_BLOCK_BYTES = 4096
"""What a file takes at least, of the disk."""


@asynccontextmanager
async def open_disk_cache(
    directory: Path, store: ArtifactStore, *, max_bytes: int
) -> AsyncIterator["DiskCache"]:
    """The cache in ``directory``, made if missing, of what is in ``store``, as long as the block.

    What earlier servers left there is used. Several processes may share it, each of which may be
    ``max_bytes / 16`` above the limit.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    cache = DiskCache(directory, store, max_bytes=max_bytes)
    await cache.sweep()
    writer = asyncio.create_task(cache.write_waiting())
    try:
        yield cache
    finally:
        await end_tasks(writer, *cache.downloads)
        await cache.write()
        await cache.note_uses()


class DiskCache:
    """Files named by project and hash. They are not forced to the disk: after a power cut one may be shorter
    than it should be, which whoever reads it sees and says by ``discard``.

    No error of the disk is anybody's: it is a miss, and the cache rests for a while.
    """

    def __init__(self, directory: Path, store: ArtifactStore, *, max_bytes: int) -> None:
        self._directory = directory
        self._files = DirectoryStore(directory)
        self._store = store
        self._max_bytes = max_bytes
        self._unswept_bytes = 0
        self._unswept_files = 0
        self._used: dict[str, float] = {}
        self._here: set[int] = set()
        self._waiting: list[tuple[str, bytes]] = []
        self._waiting_bytes = 0
        self._work = asyncio.Event()
        self._under_way: dict[str, Download] = {}
        self._rests_until = 0.0

    @property
    def downloads(self) -> list[asyncio.Task[None]]:
        return [download.task for download in self._under_way.values()]

    async def read(self, project_id: ProjectID, sha256: str, *, size: int) -> bytes | None:
        """The blob of ``size`` bytes, if it is known to be here: another process's is after a sweep."""
        name = _name(project_id, sha256)
        if hash(name) not in self._here:
            # Remembered, since the file system takes a tenth of all that a miss does to say that it has none.
            return None
        try:
            data = await self._files.read(name, max_bytes=size)
        except ArtifactNotFound:
            return None
        except (ArtifactTooLarge, StoreUnavailable) as error:
            log.warning("a file of the disk cache can't be used: %s", error)
            return None
        if len(data) != size:
            await self.discard(project_id, sha256)
            return None
        self._used[name] = time.time()
        return data

    @asynccontextmanager
    async def open(
        self, project_id: ProjectID, sha256: str, *, start: int, length: int
    ) -> AsyncIterator[ArtifactReader | None]:
        """A reader of that part, which may have less; None if the blob is not here."""
        name = _name(project_id, sha256)
        opening = self._files.open(name, start=start, length=length)
        try:
            reader = await opening.__aenter__()
        except ArtifactNotFound:
            yield None
            return
        except StoreUnavailable as error:
            log.warning("a file of the disk cache can't be used: %s", error)
            yield None
            return
        try:
            self._used[name] = time.time()
            yield reader
        finally:
            await opening.__aexit__(None, None, None)

    async def discard(self, project_id: ProjectID, sha256: str) -> None:
        """What is here is not what it should be."""
        name = _name(project_id, sha256)
        self._here.discard(hash(name))
        await asyncio.to_thread((self._directory / name).unlink, missing_ok=True)

    def keep(self, project_id: ProjectID, sha256: str, data: bytes) -> None:
        """Write a small blob when there is time for it."""
        if (
            self._waiting_bytes + len(data) > MAX_WAITING_BYTES
            or self._rests
            or not self._has_room(len(data))
        ):
            return
        self._waiting.append((_name(project_id, sha256), data))
        self._waiting_bytes += len(data)
        self._work.set()

    @asynccontextmanager
    async def fetch(
        self, project_id: ProjectID, sha256: str, *, size: int
    ) -> AsyncIterator[ArtifactReader | None]:
        """A reader of a whole blob on its way from the store to the disk; all who want it share that way.

        It goes as fast as the store and the disk do, and however slowly each takes it. None where the disk
        can't have it. Raises what the store's ``open`` does.
        """
        name = _name(project_id, sha256)
        download = self._under_way.get(name)
        if download is None:
            if len(self._under_way) >= MAX_DOWNLOADS or self._rests or not self._has_room(size):
                yield None
                return
            download = self._under_way[name] = Download(size)
            download.task = asyncio.create_task(self._download(name, keys.blob(project_id, sha256), download))
        with download.using():
            try:
                await download.begun()
            except OSError:
                yield None
                return
            async with aclosing(download.chunks()) as chunks:
                yield ArtifactReader(chunks, download.size)

    async def write_waiting(self) -> None:
        """Writes what ``keep`` was given, for ever."""
        while True:
            await self._work.wait()
            for _ in range(GATHERINGS):
                waiting_bytes = self._waiting_bytes
                await asyncio.sleep(GATHERING_S)
                if self._waiting_bytes == waiting_bytes or self._waiting_bytes > MAX_WAITING_BYTES // 2:
                    break
            self._work.clear()
            # To its end: a thread can't be stopped, and the directory is not its own any more after the last.
            await to_its_end(self.write())

    async def write(self) -> None:
        """Writes what ``keep`` was given so far."""
        waiting, self._waiting = self._waiting, []
        try:
            await asyncio.to_thread(_write_all, self._directory, waiting)
            self._here.update(hash(name) for name, _ in waiting)
            await self._grow([len(data) for _, data in waiting])
        except OSError as error:
            self._rest(error)
        finally:
            self._waiting_bytes -= sum(len(data) for _, data in waiting)

    async def note_uses(self) -> None:
        """Make what was used the last to go, for this and other servers."""
        used, self._used = self._used, {}
        await asyncio.to_thread(_touch, self._directory, used)

    async def sweep(self) -> None:
        """Remove what was not used for longest, until there is room for what comes before the next time."""
        await self.note_uses()
        await self._files.remove_left()
        self._unswept_bytes = self._unswept_files = 0
        self._here = await asyncio.to_thread(
            _remove_oldest, self._directory, self._max_bytes - self._max_bytes // SHARE, MAX_FILES
        )

    def _has_room(self, size: int) -> bool:
        return size <= self._max_bytes // 4

    async def _grow(self, sizes: Sequence[int]) -> None:
        self._unswept_bytes += sum(map(_on_disk, sizes))
        self._unswept_files += len(sizes)
        if self._unswept_bytes > self._max_bytes // SHARE or self._unswept_files > MAX_FILES // SHARE:
            await self.sweep()

    async def _download(self, name: str, key: str, download: Download) -> None:
        try:
            with download.using():
                async with self._store.open(key) as reader:
                    if reader.bytes != download.size:
                        raise BlobDamaged(f"{key} has {reader.bytes} bytes, not {download.size}")
                    await self._receive(name, reader, download)
        except Exception as error:
            if isinstance(error, OSError):
                self._rest(error)
            download.fail(error)
        except asyncio.CancelledError:
            download.fail(StoreUnavailable("the server stops"))
            raise
        finally:
            del self._under_way[name]

    async def _receive(self, name: str, reader: ArtifactReader, download: Download) -> None:
        # All the room it needs is taken before anybody is promised anything.
        aside = await asyncio.to_thread(_create, self._directory, download.size)
        try:
            download.begin(aside.file)
            async for chunk in reader:
                await asyncio.to_thread(_append, aside.file, chunk)
                download.advance(len(chunk))
            aside.path.replace(self._directory / name)
            self._here.add(hash(name))
        except BaseException:
            aside.path.unlink(missing_ok=True)
            raise
        await self._grow([download.size])

    @property
    def _rests(self) -> bool:
        return time.monotonic() < self._rests_until

    def _rest(self, error: OSError) -> None:
        if not self._rests:
            log.warning("the disk cache rests for %.0f s: %s", REST_S, error)
        self._rests_until = time.monotonic() + REST_S


def _name(project_id: ProjectID, sha256: str) -> str:
    return f"{project_id}.{sha256}"


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES


def _create(directory: Path, size: int) -> Aside:
    aside = create_aside(directory)
    try:
        os.posix_fallocate(aside.file.fileno(), 0, size)
    except BaseException:
        aside.file.close()
        aside.path.unlink()
        raise
    return aside


def _append(file: BinaryIO, chunk: bytes) -> None:
    file.write(chunk)
    file.flush()


def _write_all(directory: Path, blobs: Sequence[tuple[str, bytes]]) -> None:
    """As few calls as can be: for each the interpreter's lock changes hands, which costs more than the call.

    So in place. Whoever finds half a file sees that by its size, and a file of this name is never another's.
    """
    for name, data in blobs:
        path = f"{directory}/{name}"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        try:
            written = os.write(fd, data)
        finally:
            os.close(fd)
        if written < len(data):
            Path(path).unlink(missing_ok=True)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _touch(directory: Path, used: Mapping[str, float]) -> None:
    for name, moment in used.items():
        with suppress(FileNotFoundError):
            os.utime(directory / name, (moment, moment))


def _remove_oldest(directory: Path, max_bytes: int, max_files: int) -> set[int]:
    """Returns the hashes of the names that are left, a third of the size of the names."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # another server process does the same
                stat = entry.stat()
                found.append((stat.st_mtime, _on_disk(stat.st_size), entry.name))
    found.sort(reverse=True)
    total = 0
    left = set()
    for number, (_, size, name) in enumerate(found, 1):
        total += size
        if (total > max_bytes or number > max_files) and not name.startswith("."):
            (directory / name).unlink(missing_ok=True)
        else:
            left.add(hash(name))
    return left
