"""Runs one child process, its output pumped into the log line by line."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from builder.log import BuildLog, Phase, Stream
from builder.text import LineReader

CHUNK_BYTES = 64 * 1024

DRAIN_S = 2.0
"""After the process has ended, its pipes are empty at once unless somebody it left behind holds them."""

TAIL_LINES = 400
"""Of the output, for telling why a command failed: below the reason npm prints a hundred lines of usage."""


@dataclass(frozen=True, slots=True)
class Finished:
    """``status`` is the exit status, negative for a signal; ``tail`` the last lines of both streams.

    ``seqs`` are the tail's numbers in the log; there are none where the output was kept out of it.
    """

    status: int
    tail: tuple[str, ...]
    seqs: tuple[int, ...] = ()


async def run_process(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: BuildLog,
    phase: Phase,
    kill: Callable[[asyncio.subprocess.Process], None],
    started: Callable[[asyncio.subprocess.Process], None] | None = None,
    quiet: bool = False,
    own_session: bool = True,
) -> Finished:
    """Runs ``argv`` to its end. ``kill`` is called however this ends, so nothing is left running.

    ``quiet`` keeps the output out of the log; it is in ``tail`` still. With ``own_session`` it cannot type
    into the builder's terminal; without, it goes after others as the builder does. It leads a group in both.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    seqs: deque[int] = deque(maxlen=TAIL_LINES)

    def write(stream: Stream, lines: list[str]) -> None:
        tail.extend(lines)
        if not quiet:
            seqs.extend(log.write(phase, stream, lines))

    async with _pipe() as (out, out_fd), _pipe() as (err, err_fd):
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=cwd,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out_fd,
                stderr=err_fd,
                start_new_session=own_session,
                process_group=None if own_session else 0,
            )
        finally:
            os.close(out_fd)
            os.close(err_fd)
        pumps = [
            asyncio.create_task(_pump(out, log.reader(), lambda lines: write(Stream.STDOUT, lines))),
            asyncio.create_task(_pump(err, log.reader(), lambda lines: write(Stream.STDERR, lines))),
        ]
        try:
            if started is not None:
                started(process)
            status = await process.wait()
            kill(process)
            drained, _ = await asyncio.wait(pumps, timeout=DRAIN_S)
            for pump in drained:
                pump.result()
        finally:
            kill(process)
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)
            await process.wait()
        return Finished(status, tuple(tail), tuple(seqs))


async def _pump(source: asyncio.StreamReader, lines: LineReader, write: Callable[[list[str]], None]) -> None:
    try:
        while chunk := await source.read(CHUNK_BYTES):
            write(lines.feed(chunk))
    finally:
        write(lines.finish())


@asynccontextmanager
async def _pipe() -> AsyncIterator[tuple[asyncio.StreamReader, int]]:
    """A reader, and the descriptor to write to, which the caller closes.

    asyncio's own pipes make ``Process.wait`` wait for their end too, and a daemon that the command left
    behind can hold them open for ever.
    """
    read_fd, write_fd = os.pipe()
    reader = asyncio.StreamReader(limit=CHUNK_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_fd, "rb", buffering=0)
    )
    try:
        yield reader, write_fd
    finally:
        transport.close()
