"""The artifact store as plain files, under the same keys as in S3."""

import asyncio
import os
import secrets
from pathlib import Path

from builder.errors import StoreError

_TEMPORARY = ".part-"


class DirectoryStore:
    """Files below ``root``, which is made if need be. Each is written beside its name and renamed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def list_names(self, prefix: str) -> frozenset[str]:
        return await asyncio.to_thread(self._list_names, prefix)

    async def put(self, key: str, content: bytes, media: str) -> None:
        await asyncio.to_thread(self._put, key, content)

    def _list_names(self, prefix: str) -> frozenset[str]:
        try:
            names = os.listdir(self._root / prefix)  # noqa: PTH208 - names alone, for thousands of blobs
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise StoreError(f"listing {prefix}: {error.strerror}") from error
        return frozenset(name for name in names if not name.startswith(_TEMPORARY))

    def _put(self, key: str, content: bytes) -> None:
        path = self._root / key
        part = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
        try:
            _make_directory(path.parent)
            try:
                with part.open("xb") as file:
                    _give_to_owner(part)
                    file.write(content)
                    file.flush()
                    # A rename can reach the disk before the content does, and a blob is never written again.
                    os.fsync(file.fileno())
                part.replace(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StoreError(f"writing {key}: {error.strerror}") from error


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
