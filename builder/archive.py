"""Packs part of a workspace into a ``.tar.zst``, and unpacks one into it.

A hostile build decides what is in an archive. So no code of ours walks its tree or its members: ``tar``
does, contained like the build's own commands and under their uid. It reads and writes what they could,
wherever a link leads, and can make no device and nobody else's file.
"""

import asyncio
import os
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import FileIO
from pathlib import Path
from typing import IO, cast

from builder.log import Phase
from builder.run import OUTER_ENV, Runner, kill_tree

GIB = 1024**3

RAW_BYTES = 4 * GIB
"""Of an archive before compression: a small one may unpack to a full disk."""

ARCHIVE_BYTES = 1 * GIB
"""Of the archive itself."""

LEVEL = 3
"""zstd's own default; higher levels take several times as long for a tenth less."""

MAX_THREADS = 8
"""Each has buffers of its own of some MiB."""

CHUNK_BYTES = 1024**2

NOTHING_TO_PACK = 44
"""The exit status by which a script says so."""

_END = bytes(1024)
"""Two blocks of zeros end every tar. One that was cut off where a member ends would look whole otherwise."""


class ArchiveDamaged(Exception):
    """The archive can't be unpacked as a whole. Part of it may be."""


class ArchiveRefused(Exception):
    """There is nothing to pack, or too much, or tar failed. ``str(error)`` goes into a sentence."""


async def pack(runner: Runner, script: str, target: Path) -> None:
    """Compresses what ``script`` writes to stdout (a tar) into ``target``, on all cores.

    Raises ``ArchiveRefused`` and ``OSError``.
    """
    reading, writing = os.pipe()
    with FileIO(reading, "rb") as tar:
        compressing: asyncio.Future[None] | None = None
        try:
            async with _contained(runner, script, Phase.PUBLISH, DEVNULL, writing) as process:
                compressing = asyncio.ensure_future(asyncio.to_thread(_compress, tar, target))
                await asyncio.shield(compressing)
                status = await process.wait()
        finally:
            # Its process is gone, so the thread comes to the pipe's end.
            if compressing is not None:
                await asyncio.wait({compressing})
    if status == NOTHING_TO_PACK:
        raise ArchiveRefused("there is nothing in it")
    if status != 0:
        raise ArchiveRefused(f"tar failed with status {status}")


async def unpack(runner: Runner, script: str, chunks: AsyncIterator[bytes]) -> None:
    """Gives the decompressed ``chunks`` to ``script``, which unpacks them, as they come.

    Raises ``ArchiveDamaged``, and whatever ``chunks`` raises.
    """
    import zstandard

    # An archive that there is not is known by its first chunk, before anything runs for it.
    chunk = await anext(chunks, b"")
    reading, writing = os.pipe()
    with FileIO(writing, "wb") as pipe:
        feeding: asyncio.Future[int] | None = None
        tar = _Bounded(pipe)
        decompressor = zstandard.ZstdDecompressor().stream_writer(
            cast(IO[bytes], tar), write_size=CHUNK_BYTES, closefd=False
        )
        try:
            async with _contained(runner, script, Phase.INSTALL, reading, DEVNULL) as process:
                try:
                    while chunk:
                        feeding = asyncio.ensure_future(asyncio.to_thread(decompressor.write, chunk))
                        await asyncio.shield(feeding)
                        chunk = await anext(chunks, b"")
                except (zstandard.ZstdError, BrokenPipeError) as error:
                    raise ArchiveDamaged(str(error)) from error
                pipe.close()
                status = await process.wait()
        finally:
            if feeding is not None:
                await asyncio.wait({feeding})
    if tar.end != _END:
        raise ArchiveDamaged("its end is missing")
    if status != 0:
        raise ArchiveDamaged(f"tar failed with status {status}")


@asynccontextmanager
async def _contained(
    runner: Runner, script: str, phase: Phase, stdin: int, stdout: int
) -> AsyncIterator[Process]:
    """Runs ``script``; at the end it is gone. Closes ``stdin`` and ``stdout`` if they are descriptors."""
    try:
        process = await asyncio.create_subprocess_exec(
            *runner.contained(script, phase),
            cwd=runner.workspace.root,
            env=OUTER_ENV,
            stdin=stdin,
            stdout=stdout,
            stderr=DEVNULL,
            start_new_session=True,
        )
    finally:
        for descriptor in (stdin, stdout):
            if descriptor >= 0:
                os.close(descriptor)
    try:
        yield process
    finally:
        kill_tree(process, runner.mode)
        await process.wait()


def _compress(tar: FileIO, target: Path) -> None:
    import zstandard

    threads = min(os.cpu_count() or 1, MAX_THREADS)
    compressor = zstandard.ZstdCompressor(level=LEVEL, threads=threads, write_checksum=True)
    raw_bytes = 0
    with target.open("xb") as file, compressor.stream_writer(file, closefd=False) as archive:
        while chunk := tar.read(CHUNK_BYTES):
            raw_bytes += len(chunk)
            if raw_bytes > RAW_BYTES or file.tell() > ARCHIVE_BYTES:
                raise ArchiveRefused(f"it is larger than {RAW_BYTES // GIB} GiB")
            archive.write(chunk)


class _Bounded:
    """Hands on at most ``RAW_BYTES``, all of each piece; ``end`` is the last of it."""

    def __init__(self, pipe: FileIO) -> None:
        self._pipe = pipe
        self._left = RAW_BYTES
        self.end = b""

    def write(self, piece: bytes) -> int:
        self._left -= len(piece)
        if self._left < 0:
            raise BrokenPipeError(f"it unpacks to more than {RAW_BYTES // GIB} GiB")
        rest = memoryview(piece)
        while rest:
            rest = rest[self._pipe.write(rest) :]
        self.end = (self.end + bytes(piece[-len(_END) :]))[-len(_END) :]
        return len(piece)
