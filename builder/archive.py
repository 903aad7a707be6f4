"""Packs part of a workspace into a ``.tar.zst``, and unpacks one into it.

A hostile build decides what is in an archive. So no code of ours walks its tree or its members: ``tar``
does, contained like the build's own commands and under their uid. It reads and writes what they could,
wherever a link leads, and can make no device and nobody else's file.
"""

import asyncio
import fcntl
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from builder.log import Phase
from builder.run import OUTER_ENV, Runner, kill_tree

if TYPE_CHECKING:
    import zstandard

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

SLICE_BYTES = 4096
"""Of an archive, decompressed at once. Made to be a bomb, it becomes at most 128 MiB."""

PIPE_BYTES = 1024**2
"""The most that Linux gives to everybody. macOS has no such choice."""

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


async def decompressed(chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The tar of an archive that comes in ``chunks``, in pieces of about 1 MiB.

    Raises ``ArchiveDamaged``, and whatever ``chunks`` raises.
    """
    import zstandard

    raw_bytes = 0
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    async with aclosing(chunks):
        async for chunk in chunks:
            pieces = _pieces(decompressor, chunk)
            try:
                while piece := await asyncio.to_thread(next, pieces, b""):
                    raw_bytes += len(piece)
                    if raw_bytes > RAW_BYTES:
                        raise ArchiveDamaged(f"it unpacks to more than {RAW_BYTES // GIB} GiB")
                    yield piece
            except zstandard.ZstdError as error:
                raise ArchiveDamaged(str(error)) from error


async def unpack(runner: Runner, script: str, tar: AsyncIterator[bytes]) -> None:
    """Gives the pieces of ``tar`` to ``script``, which unpacks them, as they come.

    Raises ``ArchiveDamaged``, and whatever ``tar`` raises.
    """
    # An archive that there is not is known by its first piece, before anything runs for it.
    piece = await anext(tar, b"")
    end = b""
    reading, writing = os.pipe()
    if sys.platform == "linux":
        # A pipe of the usual 64 KiB would wake both ends some hundred times more.
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with FileIO(writing, "wb") as pipe:
        feeding: asyncio.Future[None] | None = None
        try:
            async with _contained(runner, script, Phase.INSTALL, reading, DEVNULL) as process:
                try:
                    while piece:
                        end = (end + piece[-len(_END) :])[-len(_END) :]
                        feeding = asyncio.ensure_future(asyncio.to_thread(_write, pipe, piece))
                        await asyncio.shield(feeding)
                        piece = await anext(tar, b"")
                except BrokenPipeError as error:
                    raise ArchiveDamaged(str(error)) from error
                pipe.close()
                status = await process.wait()
        finally:
            if feeding is not None:
                await asyncio.wait({feeding})
    if end != _END:
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


def _pieces(decompressor: "zstandard.ZstdDecompressionObj", chunk: bytes) -> Iterator[bytes]:
    piece = bytearray()
    for start in range(0, len(chunk), SLICE_BYTES):
        piece += decompressor.decompress(chunk[start : start + SLICE_BYTES])
        if len(piece) >= CHUNK_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _write(pipe: FileIO, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[pipe.write(rest) :]
