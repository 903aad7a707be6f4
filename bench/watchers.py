"""Many log consoles on the loopback, in a process of their own: ``python -m bench.watchers < watch.json``.

What they cost is taken from the same two cores that the server has, so they are as cheap as Python lets them
be: raw sockets under one epoll, and a frame that has come before, byte for byte, was taken apart then. Each
console still checks that its own frames follow one another without a line missing or twice. Prints a line
``open`` once all are, then JSON.
"""

import base64
import gc
import json
import os
import re
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

_TICK = re.compile(rb"tick (\d{13})")
_SEQ = re.compile(rb'"seq": ?(\d+)')
_READ_BYTES = 256 * 1024
# Frames that were taken apart. All watchers of a build get the same ones, and soon after one another.
_KNOWN_FRAMES = 4096
# A connection each millisecond: a thousand at once would measure the backlog of the listening socket.
_BETWEEN_S = 0.001
_OPEN_S = 60.0
_TEXT, _CLOSE, _PING = 1, 8, 9
# An empty one, masked as a client's must be.
_PONG = b"\x8a\x80\x00\x00\x00\x00"


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
    cpu_s: float
    """Of this process: what the consoles took from the server's two cores."""


@dataclass(frozen=True, slots=True)
class Frame:
    """``first`` to ``last`` without a gap where ``is_whole``; ``ticks`` of them from the ticking build."""

    first: int
    last: int
    is_whole: bool
    ticks: int
    printed_ms: int


class Console:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.rest = b""
        self.is_open = False
        self.is_right = True
        self.is_over = False
        self.last = 0
        self.ticks = 0


class Crowd:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._poll = select.epoll()
        self._consoles: dict[int, Console] = {}
        self._known: dict[bytes, Frame | None] = {}
        self._waiting = len(watch.paths)
        self._buffer = bytearray(_READ_BYTES)
        self._view = memoryview(self._buffer)
        self.lags: list[float] = []

    def open(self) -> None:
        for path in self._watch.paths:
            connection = socket.create_connection(("127.0.0.1", self._watch.port))
            key = base64.b64encode(os.urandom(16)).decode()
            connection.sendall(
                (
                    f"GET {path} HTTP/1.1\r\nHost: localhost:{self._watch.port}\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    f"Sec-WebSocket-Key: {key}\r\n{self._watch.headers}\r\n"
                ).encode()
            )
            connection.setblocking(False)
            self._consoles[connection.fileno()] = Console(connection)
            self._poll.register(connection, select.EPOLLIN)
            self._turn(_BETWEEN_S)
        end = time.monotonic() + _OPEN_S
        while not all(console.is_open for console in self._consoles.values()):
            assert time.monotonic() < end, "not every console is open"
            self._turn(0.1)

    def follow(self) -> Seen:
        end = time.monotonic() + self._watch.seconds
        while self._waiting and time.monotonic() < end:
            self._turn(0.1)
        lags = sorted(self.lags)
        right = sum(console.is_over and console.is_right for console in self._consoles.values())
        return Seen(
            frames=len(lags),
            p50_ms=lags[len(lags) // 2],
            p99_ms=lags[int(len(lags) * 0.99)],
            max_ms=lags[-1],
            wrong=len(self._consoles) - right,
            cpu_s=time.process_time(),
        )

    def _turn(self, wait_s: float) -> None:
        consoles = self._consoles
        for number, _ in self._poll.poll(wait_s):
            console = consoles[number]
            try:
                # Into one buffer: a fresh one of this size is pages of the kernel's each time.
                size = console.connection.recv_into(self._buffer)
            except ConnectionError:
                size = 0
            if not size:
                self._lost(console)
                continue
            now_ms = time.time() * 1000
            data = console.rest + self._view[:size]
            if not console.is_open:
                head, found, rest = data.partition(b"\r\n\r\n")
                if not found:
                    console.rest = data
                    continue
                assert head.startswith(b"HTTP/1.1 101"), head
                console.is_open = True
                data = rest
            console.rest = self._take(console, data, now_ms)

    def _take(self, console: Console, data: bytes, now_ms: float) -> bytes:
        """Every whole frame of ``data``; what is left."""
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                start += 2
            elif size == 127:
                start += 8
            if start > end:
                break
            if start - at > 2:
                size = struct.unpack_from(">H" if start - at == 4 else ">Q", data, at + 2)[0]
            if start + size > end:
                break
            opcode = data[at] & 15
            if opcode == _TEXT:
                self._look(console, data[start : start + size], now_ms)
            elif opcode == _PING:
                console.connection.send(_PONG)
            elif opcode == _CLOSE and not console.is_over:
                print(f"closed: {data[start : start + size]!r}", file=sys.stderr)
            at = start + size
        return data[at:]

    def _look(self, console: Console, payload: bytes, now_ms: float) -> None:
        known = self._known
        if payload not in known:
            if len(known) == _KNOWN_FRAMES:
                known.clear()
            known[payload] = _taken_apart(payload)
        frame = known[payload]
        if frame is None:
            return
        # A relay without a backlog begins somewhere.
        follows = frame.first == console.last + 1 or not console.last
        console.is_right = console.is_right and frame.is_whole and follows
        console.last = frame.last
        if frame.ticks:
            self.lags.append(now_ms - frame.printed_ms)
            console.ticks += frame.ticks
            if console.ticks >= self._watch.lines and not console.is_over:
                console.is_over = True
                self._waiting -= 1

    def _lost(self, console: Console) -> None:
        self._poll.unregister(console.connection)
        if not console.is_over:
            console.is_right = False
            console.is_over = True
            self._waiting -= 1


def _taken_apart(payload: bytes) -> Frame | None:
    """None for what has no lines."""
    seqs = [int(seq) for seq in _SEQ.findall(payload)]
    if not seqs:
        return None
    ticks = _TICK.findall(payload)
    return Frame(
        first=seqs[0],
        last=seqs[-1],
        is_whole=seqs == list(range(seqs[0], seqs[-1] + 1)),
        ticks=len(ticks),
        printed_ms=int(ticks[0]) if ticks else 0,
    )


def main() -> None:
    gc.disable()  # nothing here is a cycle, and a pause would count as the server's
    crowd = Crowd(Watch(**json.load(sys.stdin)))
    crowd.open()
    print("open", flush=True)
    print(json.dumps(asdict(crowd.follow())))


if __name__ == "__main__":
    main()
