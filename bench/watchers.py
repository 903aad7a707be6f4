"""Many log consoles on the loopback, in a process of their own: ``python -m bench.watchers < watch.json``.

Raw sockets, because a thousand of a library's clients would cost more than the server. Prints a line
``open`` once all are, then JSON.
"""

import asyncio
import base64
import json
import os
import re
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

_TICK = re.compile(rb"tick (\d{13})")
_SEQ = b'"seq":'
# A connection each millisecond: a thousand at once would measure the backlog of the listening socket.
_BETWEEN_S = 0.001


@dataclass(frozen=True, slots=True)
class Watch:
    """``paths``: one for each console. ``lines``: after so many in each of them it is over."""

    port: int
    paths: Sequence[str]
    headers: str
    lines: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Seen:
    """Lags in ms, from the print of the oldest line of a frame to the frame in the client's hands."""

    frames: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    wrong: int
    """Consoles that missed a line, got one twice, were closed, or were still waiting at the end."""


class Console(asyncio.Protocol):
    def __init__(self, request: bytes, lines: int, lags: list[float]) -> None:
        self._request = request
        self._wanted = lines
        self._lags = lags
        self._buffer = bytearray()
        self._last = 0
        self._ticks = 0
        self._whole = True
        self.open = asyncio.get_running_loop().create_future()
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.open.done():
            head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not found:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._buffer = bytearray(rest)
            self.open.set_result(None)
        now_ms = time.time() * 1000
        while (frame := self._take_frame()) is not None:
            opcode, payload = frame
            if opcode == 9:  # a ping's payload is empty, and so is the pong's, masked as a client's must be
                self._transport.write(b"\x8a\x80\x00\x00\x00\x00")
            elif opcode == 1:
                self._look(payload, now_ms)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(False)

    def _take_frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1], 2
        if size == 126:
            start = 4
        elif size == 127:
            start = 10
        if len(buffer) < start:
            return None
        if start > 2:
            size = struct.unpack_from(">H" if start == 4 else ">Q", buffer, 2)[0]
        if len(buffer) < start + size:
            return None
        payload = bytes(buffer[start : start + size])
        opcode = buffer[0] & 15
        del buffer[: start + size]
        return opcode, payload

    def _look(self, payload: bytes, now_ms: float) -> None:
        lines = payload.count(_SEQ)
        if not lines:
            return
        first, last = (_number(payload, at) for at in (payload.find(_SEQ), payload.rfind(_SEQ)))
        # A relay without a backlog begins somewhere.
        self._whole = self._whole and last - first == lines - 1 and first == (self._last or first - 1) + 1
        self._last = last
        if tick := _TICK.search(payload):
            self._lags.append(now_ms - int(tick[1]))
            self._ticks += payload.count(b"tick ")
            if self._ticks >= self._wanted and not self.done.done():
                self.done.set_result(self._whole)


def _number(payload: bytes, at: int) -> int:
    start = at + len(_SEQ)
    return int(payload[start : payload.index(b",", start)])


async def _watch(watch: Watch) -> Seen:
    loop = asyncio.get_running_loop()
    lags: list[float] = []
    consoles = []
    for path in watch.paths:
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET {path} HTTP/1.1\r\nHost: localhost:{watch.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n{watch.headers}\r\n"
        ).encode()
        _, console = await loop.create_connection(
            lambda request=request: Console(request, watch.lines, lags),  # type: ignore[misc]
            "127.0.0.1",
            watch.port,
        )
        consoles.append(console)
        await asyncio.sleep(_BETWEEN_S)
    await asyncio.wait_for(asyncio.gather(*(console.open for console in consoles)), 60)
    print("open", flush=True)
    done, _ = await asyncio.wait([console.done for console in consoles], timeout=watch.seconds)
    right = sum(future.result() for future in done)
    lags.sort()
    return Seen(
        frames=len(lags),
        p50_ms=lags[len(lags) // 2],
        p99_ms=lags[int(len(lags) * 0.99)],
        max_ms=lags[-1],
        wrong=len(consoles) - right,
    )


def main() -> None:
    print(json.dumps(asdict(uvloop.run(_watch(Watch(**json.load(sys.stdin)))))))


if __name__ == "__main__":
    main()
