"""Small objects off the wire: a request's bytes to a kept connection, and the body of a plain 200 back.

An HTTP client's work around a request costs more than all the rest of a visitor's first look at a page. What
is not plain in any way is given up here, and is for a client to ask again: a GET may be sent twice.
"""

import asyncio
import re
import ssl
from collections import deque
from typing import cast

MAX_CONNECTIONS = 64
"""To S3 for small objects; past this many, calls queue. Each takes some milliseconds."""

MAX_HEAD_BYTES = 16 * 1024

IDLE_S = 15.0
"""A connection that nobody needed for so long is closed; S3 closes them after about that time itself."""

_LOOK_S = 1.0
"""Between two looks at what stands still: one timer for all connections, none for a request."""

_END = b"\r\n\r\n"
_PLAIN = b"http/1.1 200 "
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*(?=\r\n)")
_NOT_PLAIN = re.compile(rb"\r\n(?:transfer-encoding:|connection:(?![ \t]*keep-alive[ \t]*\r\n))")


class Wire:
    """Connections to one server, ``tls`` if there is a context for it. Close it at the end."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        *,
        connect_timeout_s: float,
        read_timeout_s: float,
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)
        self._open: set[_Connection] = set()
        self._idle: deque[_Connection] = deque()
        self._look: asyncio.TimerHandle | None = None

    async def get(self, request: bytes, *, max_bytes: int) -> bytes | None:
        """The body that answers ``request``, which is a whole head; None for any answer but a plain 200 of at
        most ``max_bytes``, and where the connection is refused or breaks.

        Raises ``TimeoutError`` where there is none in time, or its bytes stop coming.
        """
        if self._room.locked():
            async with asyncio.timeout(self._connect_timeout_s + self._read_timeout_s):
                await self._room.acquire()
        else:
            await self._room.acquire()
        try:
            connection = self._idle.pop() if self._idle else await self._connect()
            return None if connection is None else await connection.ask(request, max_bytes)
        finally:
            self._room.release()

    def close(self) -> None:
        for connection in list(self._open):
            connection.abort()
        if self._look is not None:
            self._look.cancel()

    async def _connect(self) -> "_Connection | None":
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._connect_timeout_s):
            try:
                _, connection = await loop.create_connection(
                    lambda: _Connection(self._open, self._idle), self._host, self._port, ssl=self._tls
                )
            except TimeoutError:
                raise
            except OSError:
                return None
        if self._look is None:
            self._look = loop.call_later(_LOOK_S, self._look_for_what_stands_still)
        return connection

    def _look_for_what_stands_still(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._open):
            connection.end_if_still(now, self._read_timeout_s)
        self._look = loop.call_later(_LOOK_S, self._look_for_what_stands_still) if self._open else None


class _Connection(asyncio.Protocol):
    """One question at a time. In ``idle`` while it waits for one, in ``connections`` while it is open."""

    def __init__(self, connections: "set[_Connection]", idle: "deque[_Connection]") -> None:
        self._connections = connections
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[bytes | None] | None = None
        self._max_bytes = 0
        self._received: list[bytes] = []
        self._left: int | None = None
        self._moved_at = self._loop.time()

    async def ask(self, request: bytes, max_bytes: int) -> bytes | None:
        if self._transport.is_closing():
            return None
        answer: asyncio.Future[bytes | None] = self._loop.create_future()
        self._answer = answer
        self._max_bytes = max_bytes
        self._moved_at = self._loop.time()
        self._transport.write(request)
        try:
            return await answer
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        self._forget()
        self._transport.abort()

    def end_if_still(self, now: float, read_timeout_s: float) -> None:
        still_s = now - self._moved_at
        if self._answer is None:
            if still_s > IDLE_S:
                self.abort()
        elif still_s > read_timeout_s and not self._answer.done():
            self._answer.set_exception(TimeoutError("S3's bytes stopped coming"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            # What nobody asked for is no start of the next answer.
            self.abort()
            return
        self._moved_at = self._loop.time()
        if self._left is None:
            head, end, data = b"".join([*self._received, data]).partition(_END)
            if not end:
                self._received = [head]
                if len(head) > MAX_HEAD_BYTES:
                    self.abort()
                return
            self._received = []
            self._left = _plain_length(head + b"\r\n")
            if self._left is None or self._left > self._max_bytes:
                self.abort()
                return
        self._left -= len(data)
        self._received.append(data)
        if self._left < 0:
            self.abort()
        elif self._left == 0:
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()

    def _finish(self) -> None:
        body = b"".join(self._received)
        answer, self._answer = self._answer, None
        self._received = []
        self._left = None
        if answer is not None and not answer.done():
            answer.set_result(body)
            self._idle.append(self)

    def _forget(self) -> None:
        self._connections.discard(self)
        if self in self._idle:
            self._idle.remove(self)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)


def _plain_length(head: bytes) -> int | None:
    """Of the body behind ``head``, which ends with a line; None where the answer is not a plain one."""
    head = head.lower()
    lengths = _LENGTH.findall(head)
    if not head.startswith(_PLAIN) or len(lengths) != 1 or head.count(b"\r\ncontent-length") != 1:
        return None
    return None if _NOT_PLAIN.search(head) else int(lengths[0])
