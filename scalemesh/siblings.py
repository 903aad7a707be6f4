"""The processes of WEB_CONCURRENCY beyond the first, which starts them, keeps them running and ends them.

Each is the same server on the same port. Its standard input is a pipe that only the first process holds:
a line that says what it runs on, and then the end, when it is to stop, however that came about.
"""

import asyncio
import json
import logging
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from scalemesh.embedded import EmbeddedServers
from scalemesh.tasks import Pauses, end_tasks

logger = logging.getLogger(__name__)

COMMAND = "sibling"
"""Of scalemesh.py; it is nobody's to type."""

_SCRIPT = Path(__file__).resolve().parents[1] / "scalemesh.py"

_STOP_MAX_S = 30
"""Requests and builds under way end within less; what hangs after that is ended."""


@dataclass(frozen=True, slots=True)
class First:
    """The first process as its siblings need to know it: what it started, and where it listens."""

    servers: EmbeddedServers
    port: int


@asynccontextmanager
async def keep_siblings(count: int, first: First) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """``count`` siblings serve inside the block, until what it yields is called.

    After the block they have finished what they were doing.
    """
    siblings = [_Sibling(first) for _ in range(count)]
    keeping = [asyncio.create_task(sibling.keep(), name="keep a sibling") for sibling in siblings]

    async def let_go() -> None:
        await end_tasks(*keeping)
        for sibling in siblings:
            sibling.let_go()

    try:
        yield let_go
    finally:
        await let_go()
        await asyncio.gather(*(sibling.end() for sibling in siblings))


class _Sibling:
    def __init__(self, first: First) -> None:
        self._first = first
        self._process: Process | None = None

    async def keep(self) -> None:
        """Never returns."""
        now = asyncio.get_running_loop().time
        pauses = Pauses()
        while True:
            began = now()
            try:
                self._process = await _start(self._first)
                end = f"ended by itself (status {await self._process.wait()})"
            except OSError as error:
                end = f"could not be started ({error})"
            pause_s = pauses.after(now() - began)
            logger.warning("a server process %s and is started again in %.1f s", end, pause_s)
            await asyncio.sleep(pause_s)

    def let_go(self) -> None:
        """Tells it to stop."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()

    async def end(self) -> None:
        """Waits until it has stopped."""
        if self._process is None:
            return
        try:
            async with asyncio.timeout(_STOP_MAX_S + 5):
                await self._process.wait()
        except TimeoutError:
            logger.warning("a server process does not stop and is killed")
            self._process.kill()
            await self._process.wait()


async def _start(first: First) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_SCRIPT),
        COMMAND,
        stdin=PIPE,
        # A session of its own: Ctrl-C in the terminal is for the first, which tells the others.
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(first)).encode() + b"\n")
    return process


async def meet_first(stop: Callable[[], None]) -> First | None:
    """In a sibling: what the first process says; None where it has gone. ``stop`` is called at its end."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: _StandardInput(reader, lambda: _stop_in_time(stop)), sys.stdin
    )
    line = await reader.readline()
    if not line:
        return None
    told = json.loads(line)
    return First(EmbeddedServers(**told["servers"]), told["port"])


class _StandardInput(asyncio.StreamReaderProtocol):
    def __init__(self, reader: asyncio.StreamReader, on_end: Callable[[], None]) -> None:
        super().__init__(reader)
        self._on_end = on_end

    def eof_received(self) -> bool:
        super().eof_received()
        # Nothing will be written to it, so its end is all of its end.
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._on_end()


def _stop_in_time(stop: Callable[[], None]) -> None:
    # Nobody is left who would end a process that hangs.
    signal.alarm(_STOP_MAX_S)
    stop()
