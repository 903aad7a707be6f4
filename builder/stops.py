"""What ends a build early: a cancel, the deadline, or the death of the server that started it."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from builder.contract import Contract
from builder.errors import BuildError, Code, ContractError, ExitStatus


@asynccontextmanager
async def watch_stops(contract: Contract) -> AsyncIterator["asyncio.Future[BuildError]"]:
    """A future that gets the reason to stop, if there comes to be one.

    SIGTERM and SIGINT are a cancel. While the scope is open they do nothing else.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[BuildError] = loop.create_future()

    def stop_for(error: BuildError) -> None:
        if not stop.done():
            stop.set_result(error)

    remaining_s = max(0.0, (contract.deadline - datetime.now(UTC)).total_seconds())
    transport: asyncio.BaseTransport | None = None
    timer = loop.call_later(remaining_s, lambda: stop_for(_deadline_exceeded()))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: stop_for(_canceled()))
    try:
        if contract.supervised:
            transport = await _watch_stdin(lambda: stop_for(_server_lost()))
        yield stop
    finally:
        timer.cancel()
        if transport is not None:
            transport.close()


class _Stdin(asyncio.Protocol):
    """The server holds the other end and writes nothing: its end is the server's end."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_end()


async def _watch_stdin(on_end: Callable[[], None]) -> asyncio.BaseTransport:
    """Raises ``ContractError`` where stdin is not a pipe."""
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: _Stdin(on_end), sys.stdin.buffer
        )
    except ValueError as error:
        raise ContractError(["SUPERVISED=1 needs stdin to be a pipe."]) from error
    return transport


def _canceled() -> BuildError:
    return BuildError(
        Code.CANCELED,
        "The build was canceled.",
        "Deploy again when you are ready.",
        status=ExitStatus.INFRASTRUCTURE,
    )


def _server_lost() -> BuildError:
    return BuildError(
        Code.SERVER_LOST,
        "The server that started this build went away.",
        "The server starts the build again when it is back.",
        status=ExitStatus.INFRASTRUCTURE,
    )


def _deadline_exceeded() -> BuildError:
    return BuildError(
        Code.DEADLINE_EXCEEDED,
        "The build took longer than it may.",
        "Look in the log for a command that waits for something, or make the build do less.",
    )
