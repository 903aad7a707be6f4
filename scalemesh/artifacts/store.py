"""The contract of an artifact store, and the three ways in which it can say no."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol, runtime_checkable

from scalemesh.model import ProjectID

CHUNK_BYTES = 64 * 1024
"""What a reader holds in memory at once: the size at which aiohttp's transport asks a writer to wait."""

MAX_KEY_CHARS = 1024  # S3's limit; keys are ASCII, so characters are bytes

_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}"  # 255 is the longest file name that ext4, XFS and APFS take
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


class ArtifactNotFound(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(f"no artifact {key}")
        self.key = key


class ArtifactTooLarge(Exception):
    """There is such an artifact, but its reader said that it would not take that much into memory."""

    def __init__(self, key: str, *, max_bytes: int) -> None:
        super().__init__(f"artifact {key} is over {max_bytes} bytes")
        self.key = key


class StoreUnavailable(Exception):
    """The store did not answer, refused, or broke off: the same call may work later."""


Chunks = AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes in a file of this machine, from ``start``. It is open as long as the reader is."""

    file: BinaryIO
    start: int


@dataclass(frozen=True, slots=True)
class ArtifactReader:
    """An artifact, or a part of it, on its way.

    ``async for`` gives it once, in chunks of at most ``CHUNK_BYTES``, and reads no further ahead than a few
    chunks while its consumer waits. It ends after exactly ``bytes`` bytes or raises ``StoreUnavailable``.
    """

    chunks: Chunks
    bytes: int
    """How many bytes will come, known before the first of them."""
    part: FilePart | None = None
    """The same bytes for whoever can take them from a file. Iterating gives them too."""

    def __aiter__(self) -> Chunks:
        return self.chunks


class ArtifactStore(Protocol):
    """Bytes by key. Every method may raise ``StoreUnavailable``.

    A key is ``/`` between segments of ASCII letters, digits, ``.``, ``_`` and ``-``, none of which starts
    with a dot; anything else is a ``ValueError``, for keys come from ``scalemesh.keys`` and never from a
    visitor. No key continues another one with ``/``: a directory could not hold both.

    Safe to use from any number of tasks of the event loop it was made on.
    """

    @property
    def url(self) -> str:
        """What a builder is told to write to: ``s3://bucket`` or an absolute directory."""

    async def read(self, key: str, *, max_bytes: int) -> bytes:
        """The whole artifact. Raises ``ArtifactNotFound``, or ``ArtifactTooLarge`` having read nothing."""

    def open(
        self, key: str, *, start: int = 0, length: int | None = None
    ) -> AbstractAsyncContextManager[ArtifactReader]:
        """A reader of ``length`` bytes from ``start`` (from 0), or of what there is where that is less.

        ``length`` is at least 1; None means to the end. The connection or file is held until the block
        ends, which may be before the last chunk. Raises ``ArtifactNotFound`` on entering.
        """

    async def write(self, key: str, data: bytes) -> None:
        """Put ``data`` at ``key``, whatever was there. A reader sees all of the old or all of the new."""

    async def exists(self, key: str) -> bool: ...

    async def delete_prefix(self, prefix: str) -> int:
        """Delete each key under ``prefix``, a key and its final ``/``; returns how many there were.

        Not atomic: a failure half-way leaves the rest, and calling again goes on.
        """

    async def check(self) -> None:
        """Return if the store answers and would take a write, as far as that can be told cheaply."""


@runtime_checkable
class GrantsUploads(Protocol):
    """A store whose keys a builder need not have."""

    async def grant(self, project_id: ProjectID, manifest: str | None, deadline: datetime) -> str:
        """The builder contract's UPLOAD_GRANT.

        It reaches the project's keys alone: writes all of them, reads ``manifest`` (a key) and the
        caches, and ends shortly after ``deadline``. Caches that are too many are deleted. Raises
        ``StoreUnavailable``.
        """


def check_key(key: str) -> str:
    """``key`` itself; raises ``ValueError`` if no store may hold it."""
    if len(key) > MAX_KEY_CHARS or not _KEY.fullmatch(key):
        raise ValueError(f"not an artifact key: {key[:80]!r}")
    return key


def check_prefix(prefix: str) -> str:
    """``prefix`` without its final slash; raises ``ValueError`` if it has none or is no key before it."""
    if not prefix.endswith("/"):
        raise ValueError(f"not an artifact prefix: {prefix[:80]!r}")
    return check_key(prefix[:-1])


def check_range(start: int, length: int | None) -> None:
    if start < 0 or (length is not None and length < 1):
        raise ValueError(f"not a range: {length} bytes from {start}")
