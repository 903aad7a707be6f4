"""Clients that a log is sent to: a WebSocket, or a response that goes on; and how each of them ends."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from socket import SO_SNDBUF, SOL_SOCKET
from typing import Protocol

from aiohttp import WSCloseCode, WSMsgType, web
from redis.exceptions import RedisError

from scalemesh.artifacts.store import StoreUnavailable
from scalemesh.db.pool import UNAVAILABLE
from scalemesh.errors import DeploymentNotFound, LogClientTooSlow
from scalemesh.logs.follow import Event
from scalemesh.logs.hub import WatchEnded
from scalemesh.logs.lines import Batch
from scalemesh.tasks import end_tasks
from scalemesh.web.log_formats import Format, as_json

logger = logging.getLogger(__name__)

# A client that takes nothing for this long is not reading; it may come back with after=SEQ.
SEND_TIMEOUT_S = 8.0
# Up to here a transport's buffer takes what it is given without making its writer wait.
_AT_ONCE_BYTES = 64 * 1024
# What a closing socket has not taken by then, the close frame too, it never will.
CLOSE_TIMEOUT_S = 1.5
# What the kernel may hold for a client that reads slowly or not at all. Its own choice is several MiB, behind
# which a ping waits longer than a client that is there takes to answer one.
SEND_BUFFER_BYTES = 256 * 1024
# Browsers answer pings by themselves. Who leaves this many unanswered is closed, with CLOSE_TIMEOUT_S within
# ten seconds after it stopped reading; a client or a network that is only slow has five.
PING_S = 2.5
_UNANSWERED_MAX = 2
# Proxies close a response that is silent for a minute, so one of server-sent events says a word.
HEARTBEAT_S = 20.0
# aiohttp tells a handler nothing of a client that leaves while there is nothing to send to it.
_LOOK_S = 1.0
_MAX_CLIENT_MESSAGE_BYTES = 1024

_OVER = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)
_AWAY: tuple[type[Exception], ...] = (StoreUnavailable, RedisError, *UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Ending:
    """With what a WebSocket closes. Any code but OK breaks a response off, visibly."""

    code: WSCloseCode
    reason: str = ""


class Reader(Protocol):
    """Whoever gets a log. ``stopping`` is set where the server stops."""

    stopping: asyncio.Event

    async def send(self, event: Event) -> None:
        """Raises TimeoutError where the client takes nothing, ConnectionError where it has left."""

    async def left(self) -> Ending:
        """Returns once the client has left or is taken for one that has; with what to close."""

    async def close(self, ending: Ending) -> None:
        """In bounded time, whatever the client does. ``left`` must not be running."""


class Readers(set[Reader]):
    """Those that follow a log now."""


READERS = web.AppKey("log readers", Readers)


class SocketReader:
    """A WebSocket. Made by ``open``."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        _bound_send_buffer(transport)
        self._socket = socket
        self._transport = transport
        self.stopping = asyncio.Event()

    @classmethod
    async def open(cls, request: web.Request) -> "tuple[web.WebSocketResponse, SocketReader | None]":
        """None where the client has left by then."""
        socket = web.WebSocketResponse(
            autoping=False,
            max_msg_size=_MAX_CLIENT_MESSAGE_BYTES,
            timeout=CLOSE_TIMEOUT_S,
            # A compressor for each client takes more memory than all else that a console does.
            compress=False,
        )
        await socket.prepare(request)
        return socket, cls(socket, request.transport) if request.transport is not None else None

    def offer(self, batch: Batch) -> bool:
        """Sends it where the client keeps up; False where it has to wait for it to take what was sent before.

        The same bytes go to all who watch a build, straight to the transport: no task wakes for it.
        """
        held = self._transport.get_write_buffer_size()
        if held + len(batch.frame) > _AT_ONCE_BYTES or self._transport.is_closing():
            return False
        self._transport.write(batch.frame)
        return True

    async def send(self, event: Event) -> None:
        if isinstance(event, Batch) and self.offer(event):
            return
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await self._socket.send_frame(as_json(event), WSMsgType.TEXT)

    async def left(self) -> Ending:
        unanswered = 0
        try:
            while unanswered <= _UNANSWERED_MAX:
                try:
                    message = await self._socket.receive(timeout=PING_S)
                except TimeoutError:
                    unanswered += 1
                    await self._socket.ping()
                    continue
                # Whatever it says is an answer; otherwise it has nothing to say.
                unanswered = 0
                if message.type is WSMsgType.PING:
                    await self._socket.pong(message.data)
                elif message.type in _OVER:
                    return Ending(WSCloseCode.OK)
        except ConnectionError:
            return Ending(WSCloseCode.OK)
        return Ending(WSCloseCode.TRY_AGAIN_LATER, "pings are not answered")

    async def close(self, ending: Ending) -> None:
        # A connection with unsent data would end only once its client has taken them.
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self._transport.abort)
        await self._socket.close(code=ending.code, message=ending.reason.encode())


class BodyReader:
    """A response whose body is the log, of unknown length. ``response`` is prepared by the caller."""

    def __init__(self, request: web.Request, response: web.StreamResponse, form: Format) -> None:
        self._request = request
        self._response = response
        self._form = form
        self._sent_at = _now()
        if request.transport is not None:
            _bound_send_buffer(request.transport)
        self.stopping = asyncio.Event()

    async def send(self, event: Event) -> None:
        await self._write(self._form.encoded(event))

    async def left(self) -> Ending:
        while (transport := self._request.transport) is not None and not transport.is_closing():
            await asyncio.sleep(_LOOK_S)
            if self._form is Format.EVENTS and _now() - self._sent_at >= HEARTBEAT_S:
                try:
                    await self._write(b":\n\n")
                except (TimeoutError, ConnectionError):
                    break
        return Ending(WSCloseCode.GOING_AWAY, "the client has left")

    async def close(self, ending: Ending) -> None:
        if ending.code is WSCloseCode.OK:
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await self._response.write_eof()
            except ConnectionError:
                logger.debug("a client left in the middle of %s", self._request.path)
            except TimeoutError:
                self._break_off("the client takes nothing")
        else:
            self._break_off(ending.reason)

    async def _write(self, data: bytes) -> None:
        self._sent_at = _now()
        if data:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._response.write(data)

    def _break_off(self, reason: str) -> None:
        """The status is sent. A body that ends early, visibly, is all that is left to say."""
        logger.warning("broke off %s: %s", self._request.path, reason)
        self._response.force_close()
        if self._request.transport is not None:
            self._request.transport.abort()


async def attend(readers: Readers, reader: Reader, events: AsyncGenerator[Event, None], name: str) -> None:
    """Sends ``events`` until they end, the client leaves or the server stops; then closes the reader."""
    sending = asyncio.create_task(deliver(reader, events), name=name)
    leaving = asyncio.create_task(reader.left(), name=f"{name}: left")
    stopping = asyncio.create_task(reader.stopping.wait(), name=f"{name}: stop")
    ending = Ending(WSCloseCode.GOING_AWAY, "the server restarts")
    readers.add(reader)
    try:
        await asyncio.wait([sending, leaving, stopping], return_when=asyncio.FIRST_COMPLETED)
        for over in (sending, leaving):
            if over.done():
                ending = over.result()
                break
    finally:
        readers.discard(reader)
        await end_tasks(sending, leaving, stopping)
        await reader.close(ending)


async def deliver(reader: Reader, events: AsyncGenerator[Event, None]) -> Ending:
    """To the end of the log, or as far as it goes; with what to close."""
    async with aclosing(events):
        try:
            async for event in events:
                try:
                    await reader.send(event)
                except ConnectionError:
                    break
                except TimeoutError:
                    raise LogClientTooSlow("The client takes nothing.") from None
        except LogClientTooSlow:
            return Ending(WSCloseCode.TRY_AGAIN_LATER, "the log came faster than it was read")
        except WatchEnded:
            return Ending(WSCloseCode.POLICY_VIOLATION, "the session has ended")
        except DeploymentNotFound:
            return Ending(WSCloseCode.POLICY_VIOLATION, "the deployment is gone")
        except _AWAY as error:
            logger.warning("a reader of a log is sent away: %r", error)
            return Ending(WSCloseCode.TRY_AGAIN_LATER, "the log can't be read just now")
        except Exception:
            logger.exception("a log broke for a reader")
            return Ending(WSCloseCode.INTERNAL_ERROR)
    return Ending(WSCloseCode.OK)


async def close_readers(app: web.Application) -> None:
    """The server stops; those that follow come back by themselves, perhaps to another one."""
    for reader in app[READERS]:
        reader.stopping.set()


def _bound_send_buffer(transport: asyncio.Transport) -> None:
    transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES)


def _now() -> float:
    return asyncio.get_running_loop().time()
