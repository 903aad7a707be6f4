"""A load generator for the loopback, in a process of its own: ``python -m bench.load < request.json``.

Each connection sends one request after the other, each as soon as the last one is answered. Prints JSON.
"""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import cast

import psutil
import uvloop


@dataclass(frozen=True, slots=True)
class Load:
    """``requests`` are whole heads; those of one connection start at different ones."""

    port: int
    requests: Sequence[str]
    connections: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    requests: int
    failed: int
    """Answers of another length or status line than the first one to the same request."""
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_s: float
    """Of the server's process."""

    @property
    def cpu_s_per_10k(self) -> float:
        return self.cpu_s / self.requests * 10_000


async def run_load(load: Load, server_pid: int) -> Outcome:
    """Runs ``load`` in a process of its own, with the processor time that the server spends meanwhile."""
    server = psutil.Process(server_pid)
    generator = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", stdin=PIPE, stdout=PIPE
    )
    before = server.cpu_times()
    output, _ = await generator.communicate(json.dumps(asdict(load)).encode())
    assert generator.returncode == 0
    after = server.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return Outcome(**json.loads(output), cpu_s=spent)


async def first_answer(port: int, request: str) -> bytes:
    """The whole answer to ``request``, which has a Content-Length or no body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    body = (
        await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths and b" 304 " not in head else b""
    )
    writer.close()
    return head + body


class _Visitor(asyncio.Protocol):
    def __init__(self, run: "_Run", first: int) -> None:
        self._run = run
        self._next = first
        self._expected = b""
        self._left = 0
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        if self._left == len(self._expected):
            self._run.failed += not data.startswith(self._expected[:12])
        self._left -= len(data)
        if self._left > 0:
            return
        self._run.failed += self._left < 0
        self._run.took_s.append(time.perf_counter() - self._sent_at)
        if not self._run.over:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.failed += not self._run.over

    def _ask(self) -> None:
        assert self._transport is not None
        request, self._expected = self._run.requests[self._next]
        self._next = (self._next + 1) % len(self._run.requests)
        self._left = len(self._expected)
        self._sent_at = time.perf_counter()
        self._transport.write(request)


class _Run:
    def __init__(self, requests: Sequence[tuple[bytes, bytes]]) -> None:
        self.requests = requests
        self.failed = 0
        self.took_s: list[float] = []
        self.over = False


async def _generate(load: Load) -> dict[str, float]:
    # Twice: the first makes the server ready, and the second is how it answers then.
    for request in load.requests:
        await first_answer(load.port, request)
    answers = [(request.encode(), await first_answer(load.port, request)) for request in load.requests]
    run = _Run(answers)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    transports = []
    for number in range(load.connections):
        first = number * len(answers) // load.connections
        transport, _ = await loop.create_connection(
            lambda first=first: _Visitor(run, first),  # type: ignore[misc]
            "127.0.0.1",
            load.port,
        )
        transports.append(transport)
    await asyncio.sleep(load.seconds)
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


if __name__ == "__main__":
    json.dump(uvloop.run(_generate(Load(**json.load(sys.stdin)))), sys.stdout)
