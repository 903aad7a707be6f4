"""A load generator for the loopback, in a process of its own: ``python -m bench.load < request.json``.

Each connection sends one request after the other, each as soon as the last one is answered. Prints JSON.
"""

import asyncio
import json
import re
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from typing import cast

import psutil
import uvloop

from scalemesh.turns import take_short_turns

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")


@dataclass(frozen=True, slots=True)
class Load:
    """``requests`` are whole heads; those of one connection start at different ones."""

    port: int
    requests: Sequence[str]
    connections: int
    seconds: float
    pause_s: float = 0
    """Between an answer and the connection's next request."""
    once: bool = False
    """Each request is sent once, the first time it is seen; ends with the last, or after ``seconds``."""


@dataclass(frozen=True, slots=True)
class Outcome:
    requests: int
    failed: int
    """Answers of another length or status than the first to the same request; of ``once``, other than 200."""
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_s: float
    """Of the server's process."""

    @property
    def per_s(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_s_per_10k(self) -> float:
        return self.cpu_s / self.requests * 10_000


async def run_load(load: Load, server_pid: int) -> Outcome:
    """Runs ``load`` in a process of its own, with the processor time that the server spends meanwhile.

    What makes the server ready for it is not counted.
    """
    generator = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", stdin=PIPE, stdout=PIPE
    )
    assert generator.stdin is not None
    assert generator.stdout is not None
    generator.stdin.write(json.dumps(asdict(load)).encode())
    generator.stdin.close()
    await generator.stdout.readline()
    before = cpu_s(server_pid)
    output = await generator.stdout.read()
    assert await generator.wait() == 0
    return Outcome(**json.loads(output), cpu_s=cpu_s(server_pid) - before)


def cpu_s(pid: int) -> float:
    """What all threads of ``pid`` have used."""
    if sys.platform == "linux":
        # A process's clock has no name in Python. What psutil reads comes in steps of 10 ms.
        return time.clock_gettime(~pid << 3 | 2)
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def get(path: str, host: str, *lines: str) -> str:
    """The head of a GET."""
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *lines, "", ""])


def header(answer: bytes, name: str) -> str:
    """Of an answer that has it; ``name`` in small letters."""
    lines = answer.split(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}[name]


async def first_answer(port: int, request: str) -> bytes:
    """The whole answer to ``request``, which has a Content-Length, chunks or no body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    body = b""
    if b" 304 " not in head.partition(b"\r\n")[0]:
        if length := _LENGTH.search(head):
            body = await reader.readexactly(int(length[1]))
        elif b"chunked" in head:
            body = await reader.readuntil(b"\r\n0\r\n\r\n")
    writer.close()
    return head + body


class _Visitor(asyncio.Protocol):
    def __init__(self, run: "_Run", requests: Iterator[tuple[bytes, bytes]]) -> None:
        self._run = run
        self._requests = requests
        self._expected = b""
        self._left = 0
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        if self._left == 0:
            self._begin(data)
        self._left -= len(data)
        if self._left > 0:
            return
        self._run.failed += self._left < 0
        self._left = 0
        self._run.took_s.append(time.perf_counter() - self._sent_at)
        if not self._run.over:
            if self._run.pause_s:
                asyncio.get_running_loop().call_later(self._run.pause_s, self._ask)
            else:
                self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.failed += not self._run.over

    def _ask(self) -> None:
        assert self._transport is not None
        request, self._expected = next(self._requests, (b"", b""))
        if not request:
            self._run.ended()
        elif not self._run.over:
            self._sent_at = time.perf_counter()
            self._transport.write(request)

    def _begin(self, data: bytes) -> None:
        if self._expected:
            self._left = len(self._expected)
            self._run.failed += not data.startswith(self._expected[:12])
        else:
            # Never seen before. A head comes in one piece on the loopback.
            head, _, _ = data.partition(b"\r\n\r\n")
            self._left = len(head) + 4 + int(_LENGTH.findall(head)[0])
            self._run.failed += not data.startswith(b"HTTP/1.1 200")


class _Run:
    def __init__(self, pause_s: float, connections: int) -> None:
        self.failed = 0
        self.took_s: list[float] = []
        self.over = False
        self.pause_s = pause_s
        self.done = asyncio.Event()
        self._busy = connections

    def ended(self) -> None:
        self._busy -= 1
        if self._busy == 0:
            self.done.set()


async def _generate(load: Load) -> dict[str, float]:
    run = _Run(load.pause_s, load.connections)
    sources = await _sources(load)
    print(flush=True)  # ready
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    transports = []
    for source in sources:
        transport, _ = await loop.create_connection(
            lambda source=source: _Visitor(run, source),  # type: ignore[misc]
            "127.0.0.1",
            load.port,
        )
        transports.append(transport)
    with suppress(TimeoutError):
        await asyncio.wait_for(run.done.wait(), load.seconds)
    run.over = True
    seconds = time.perf_counter() - began
    for transport in transports:
        transport.abort()
    took = sorted(run.took_s)
    p50, p99 = (next(islice(took, int(len(took) * part), None)) * 1000 for part in (0.5, 0.99))
    return {
        "requests": len(took),
        "failed": run.failed,
        "seconds": seconds,
        "p50_ms": p50,
        "p99_ms": p99,
    }


async def _sources(load: Load) -> list[Iterator[tuple[bytes, bytes]]]:
    """For each connection what it asks, and the answer to that."""
    if load.once:
        return [iter([(request.encode(), b"") for request in load.requests])] * load.connections
    # Twice: the first makes the server ready, and the second is how it answers then.
    for request in load.requests:
        await first_answer(load.port, request)
    answers = [(request.encode(), await first_answer(load.port, request)) for request in load.requests]
    starts = [number * len(answers) // load.connections for number in range(load.connections)]
    return [cycle(answers[start:] + answers[:start]) for start in starts]


if __name__ == "__main__":
    # Visitors are on machines of their own, and wait for no build there.
    take_short_turns()
    json.dump(uvloop.run(_generate(Load(**json.load(sys.stdin)))), sys.stdout)
