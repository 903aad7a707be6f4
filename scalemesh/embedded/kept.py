"""A server under its keeper, seen from the process that wants it."""

import asyncio
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

import psutil

from scalemesh.embedded import keeper
from scalemesh.embedded.errors import ServerDidNotStart
from scalemesh.tasks import Pauses, end_tasks

_START_TIMEOUT_S = 60.0
"""Room for a crash recovery on a slow disk; an ordinary start takes a tenth of a second."""

_READY_POLL_S = 0.02
_STOP_TIMEOUT_S = keeper.STOP_GRACE_S + 5
_LOG_TAIL_BYTES = 2000

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeptServer:
    """What to run: ``command``, started through ``run_as`` where it needs another user.

    ``directory`` is the working directory that the running server has, ``pid_file`` the file in which it
    writes its process id. ``log`` gets its output; each start begins it anew.
    """

    name: str
    run_as: tuple[str, ...]
    command: tuple[str, ...]
    directory: Path
    pid_file: Path
    log: Path
    stop_signal: Signals


@asynccontextmanager
async def keep_running(server: KeptServer, is_ready: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
    """Starts ``server``, waits until ``is_ready``, and stops it when the block ends.

    Raises ServerDidNotStart. A server that dies later is reported in the log and started again.
    """
    kept = _Kept(server)
    await kept.start()
    try:
        await _wait_until_ready(server, kept.process, is_ready)
        restarting = asyncio.create_task(kept.restart_whenever_it_ends(), name=f"keep {server.name}")
        try:
            yield
        finally:
            await end_tasks(restarting)
    finally:
        await _release(server, kept.process)


class _Kept:
    """The keeper that there is now. ``process`` is there after ``start``."""

    process: Process

    def __init__(self, server: KeptServer) -> None:
        self._server = server

    async def start(self) -> None:
        _stop_leftover(self._server)
        # A session of its own: Ctrl-C in the terminal must not stop the server under the requests that
        # are still being finished.
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            keeper.__file__,
            str(self._server.log),
            str(self._server.pid_file),
            str(int(self._server.stop_signal)),
            *self._server.run_as,
            *self._server.command,
            stdin=PIPE,
            stdout=DEVNULL,
            start_new_session=True,
            env=server_environment(),
        )

    async def restart_whenever_it_ends(self) -> None:
        """Never returns."""
        now = asyncio.get_running_loop().time
        pauses = Pauses()
        while True:
            began = now()
            status = await self.process.wait()
            pause_s = pauses.after(now() - began)
            _logger.error(
                "%s ended by itself (status %d) and is started again in %.1f s:\n%s",
                self._server.name,
                status,
                pause_s,
                log_tail(self._server.log),
            )
            await asyncio.sleep(pause_s)
            try:
                await self.start()
            except OSError as error:
                _logger.error("%s could not be started: %s", self._server.name, error)  # noqa: TRY400


def server_environment() -> dict[str, str]:
    """Nothing of ours: ``PGPORT``, ``TZ`` and the like would change what the servers do."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def log_tail(log: Path) -> str:
    """The last lines of a server's log; empty where there is none yet."""
    try:
        return log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
    except FileNotFoundError:
        return ""


async def _wait_until_ready(
    server: KeptServer, process: Process, is_ready: Callable[[], Awaitable[bool]]
) -> None:
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            while not await is_ready():
                if process.returncode is not None:
                    reason = f"it ended with status {process.returncode}"
                    raise ServerDidNotStart(server.name, reason, log_tail(server.log))
                await asyncio.sleep(_READY_POLL_S)
    except TimeoutError:
        reason = f"it did not answer within {_START_TIMEOUT_S:.0f} s"
        raise ServerDidNotStart(server.name, reason, log_tail(server.log)) from None


async def _release(server: KeptServer, process: Process) -> None:
    """Closes the keeper's pipe, which is all it takes; the rest only waits until the server has gone."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        _logger.warning("%s could not be stopped.", server.name)
        process.kill()


def _stop_leftover(server: KeptServer) -> None:
    """Tells the server of this directory to stop that a killed keeper left behind, if there is one.

    The new keeper waits until it is gone. The pid file alone proves nothing: its number may have been
    given to another process since.
    """
    try:
        leftover = psutil.Process(int(server.pid_file.read_text().split()[0]))
        if leftover.name() == Path(server.command[0]).name and Path(leftover.cwd()) == server.directory:
            leftover.send_signal(server.stop_signal)
    except (FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess, psutil.AccessDenied):
        return  # no pid file, a half-written one, no such process, or somebody else's
