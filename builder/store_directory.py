"""The artifact store as plain files, under the same keys as in S3."""

import asyncio
import ctypes
import os
import secrets
import shutil
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from builder.errors import NotStored, StoreError
from builder.held import make_held
from builder.stored import Stored

CHUNK_BYTES = 1024**2

FEW = 64
"""Files that are synchronised one by one. With more, the whole file system is: a disk does that faster, but
it waits for all that the build has written to it as well."""

_ASIDE = ".parts-"


class DirectoryStore:
    """Files below ``root``, which is made if need be. Each is written aside, in its project, and renamed.

    A rename can reach the disk before the content does, so the content is synchronised first.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._added: list[tuple[Path, Path]] = []
        self._aside: tuple[Path, int] | None = None
        self._opening = threading.Lock()

    async def __aenter__(self) -> "DirectoryStore":
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._close)

    async def list_objects(self, prefix: str) -> list[Stored]:
        return await asyncio.to_thread(self._list_objects, prefix)

    async def read(self, key: str) -> AsyncGenerator[bytes]:
        try:
            with await asyncio.to_thread((self._root / key).open, "rb") as file:
                while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                    yield chunk
        except FileNotFoundError as error:
            raise NotStored(f"reading {key}: {error.strerror}") from error
        except OSError as error:
            raise StoreError(f"reading {key}: {error.strerror}") from error

    async def put(self, key: str, content: bytes, media: str) -> None:
        await asyncio.to_thread(self._write, key, lambda part: _write(part, content, through=True))

    async def add(self, blobs: Mapping[str, bytes]) -> None:
        await asyncio.to_thread(self._add_all, blobs)

    async def settle(self) -> None:
        await asyncio.to_thread(self._settle)

    async def put_file(self, key: str, path: Path) -> None:
        await asyncio.to_thread(self._write, key, lambda part: shutil.copyfile(path, part))

    async def delete(self, key: str) -> None:
        try:
            await asyncio.to_thread((self._root / key).unlink, missing_ok=True)
        except OSError as error:
            raise StoreError(f"removing {key}: {error.strerror}") from error

    def _list_objects(self, prefix: str) -> list[Stored]:
        try:
            with os.scandir(self._root / prefix) as entries:
                files = [(entry.name, entry.stat()) for entry in entries if entry.is_file()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"listing {prefix}: {error.strerror}") from error
        return [
            Stored(name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))
            for name, status in files
        ]

    def _add_all(self, blobs: Mapping[str, bytes]) -> None:
        for key, content in blobs.items():
            self._add(key, content)

    def _add(self, key: str, content: bytes) -> None:
        path = self._root / key
        try:
            part = self._part(key)
            _write(part, content, through=False)
            _give_to_owner(part)
            self._added.append((part, path))
        except OSError as error:
            raise StoreError(f"writing {key}: {error.strerror}") from error

    def _settle(self) -> None:
        try:
            if len(self._added) > FEW:
                _synchronise(self._root)
            else:
                for part, _ in self._added:
                    _fsync(part)
            while self._added:
                part, path = self._added[-1]
                _make_directory(path.parent)
                part.replace(path)
                self._added.pop()
        except OSError as error:
            raise StoreError(f"storing {len(self._added):,} files: {error.strerror}") from error

    def _part(self, key: str) -> Path:
        """A new name in the directory aside, which goes with this process. ``key`` is ``__output/{id}/…``."""
        with self._opening:
            if self._aside is None:
                project = self._root.joinpath(*PurePosixPath(key).parts[:2])
                _make_directory(project)
                self._aside = make_held(project, _ASIDE)
                _give_to_owner(self._aside[0])
        return self._aside[0] / secrets.token_hex(8)

    def _close(self) -> None:
        if self._aside is not None:
            directory, held = self._aside
            shutil.rmtree(directory, ignore_errors=True)
            os.close(held)

    def _write(self, key: str, write: Callable[[Path], object]) -> None:
        path = self._root / key
        try:
            part = self._part(key)
            _make_directory(path.parent)
            try:
                write(part)
                _give_to_owner(part)
                part.replace(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StoreError(f"writing {key}: {error.strerror}") from error


def _write(part: Path, content: bytes, *, through: bool) -> None:
    # Of some thousand blobs a file object for each would be a good part of the time.
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if through:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _synchronise(root: Path) -> None:
    """Waits until the disk has all that was written to its file system."""
    if sys.platform != "linux":
        os.sync()
        return
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


def _make_directory(path: Path) -> None:
    if not path.is_dir():
        _make_directory(path.parent)
        path.mkdir(exist_ok=True)
        _give_to_owner(path)


def _give_to_owner(path: Path) -> None:
    """In a container the builder is root and the store another user's, who is to remove it one day."""
    if os.geteuid() == 0:
        directory = path.parent.stat()
        os.chown(path, directory.st_uid, directory.st_gid)
