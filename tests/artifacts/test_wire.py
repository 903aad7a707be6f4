"""Answers off the wire: plain ones are taken, all others given up, and their connections with them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from scalemesh.artifacts import wire
from scalemesh.artifacts.wire import Wire
from tests.parts.forward import serving_with, write_certificate
from tests.parts.ports import unused_port
from tests.sites.watched import until

ASK = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
MAX_BYTES = 1_000_000

Script = Sequence[bytes | None]
"""The pieces of an answer; None is the connection's end."""


class Peer:
    """Answers each request with the next script, the last one over and over."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        self.scripts = list(scripts)
        self.connections = 0
        self.asked = 0
        self.open: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.asked += 1
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                for piece in script:
                    if piece is None:
                        return
                    writer.write(piece)
                    await writer.drain()
                    for _ in range(5):
                        await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def wired(
    *scripts: Script,
    read_timeout_s: float = 30,
    served_tls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[Wire, Peer]]:
    peer = Peer(scripts)
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=served_tls)
    opened = Wire(
        "127.0.0.1",
        server.sockets[0].getsockname()[1],
        tls,
        connect_timeout_s=30,
        read_timeout_s=read_timeout_s,
    )
    try:
        yield opened, peer
    finally:
        opened.close()
        server.close()
        for writer in peer.open:
            writer.close()


@pytest.mark.parametrize(
    "script",
    [
        [PLAIN],
        [PLAIN[:1], PLAIN[1:30], PLAIN[30:-6], PLAIN[-6:-2], PLAIN[-2:]],
        [b"HTTP/1.1 200 OK\r\nX: y\r\ncontent-length:4\r\nConnection: keep-alive\r\n\r\n", b"body"],
    ],
)
async def test_a_plain_answer_is_taken_and_its_connection_kept(script: Script) -> None:
    async with wired(script) as (opened, peer):
        for _ in range(3):
            assert await opened.get(ASK, max_bytes=4) == b"body"
        assert (peer.connections, peer.asked) == (1, 3)


async def test_an_empty_body_is_one() -> None:
    async with wired([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]) as (opened, _):
        assert await opened.get(ASK, max_bytes=0) == b""


@pytest.mark.parametrize(
    "script",
    [
        [PLAIN.replace(b"200 OK", b"404 Not Found")],
        [PLAIN.replace(b"200 OK", b"206 Partial Content")],
        [PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0")],
        [b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN],
        [PLAIN.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked")],
        [PLAIN.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")],
        [PLAIN.replace(b"\r\n\r\n", b"\r\nContent-Length: 4\r\n\r\n")],
        [PLAIN.replace(b": 4", b": +4")],
        [PLAIN.replace(b": 4", b": 4, 4")],
        [PLAIN.replace(b": 4", b": 5")[:-1], None],
        [PLAIN + b"more"],
        [PLAIN.replace(b"Content-Length: 4\r\n", b""), None],
        [PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), None],
        [b"HTTP/1.1 200 OK\r\nX: " + b"x" * wire.MAX_HEAD_BYTES],
        [PLAIN.replace(b": 4", b": 1000001")],
        [b"SMTP 220 hello\r\n\r\n"],
        [PLAIN[:20], None],
        [None],
    ],
)
async def test_any_other_answer_is_given_up_and_so_is_its_connection(script: Script) -> None:
    async with wired(script, [PLAIN]) as (opened, peer):
        assert await opened.get(ASK, max_bytes=MAX_BYTES) is None
        assert await opened.get(ASK, max_bytes=MAX_BYTES) == b"body"
        assert peer.connections == 2


async def test_what_nobody_asked_for_is_no_answer() -> None:
    async with wired([PLAIN]) as (opened, peer):
        assert await opened.get(ASK, max_bytes=4) == b"body"
        peer.open[0].write(PLAIN.replace(b"body", b"evil"))
        await until(lambda: not opened._open)
        assert await opened.get(ASK, max_bytes=4) == b"body"
        assert peer.connections == 2


async def test_a_connection_that_was_closed_meanwhile_is_not_used() -> None:
    async with wired([PLAIN, None], [PLAIN]) as (opened, peer):
        assert await opened.get(ASK, max_bytes=4) == b"body"
        await until(lambda: not opened._open)
        assert await opened.get(ASK, max_bytes=4) == b"body"
        assert peer.connections == 2


@pytest.mark.parametrize(("trusted", "body"), [(True, b"body"), (False, None)])
async def test_a_certificate_is_looked_at(tmp_path: Path, trusted: bool, body: bytes | None) -> None:
    certificate = write_certificate(tmp_path)
    served = serving_with(certificate)
    tls = ssl.create_default_context(cafile=certificate if trusted else None)
    async with wired([PLAIN], served_tls=served, tls=tls) as (opened, peer):
        for _ in range(2):
            assert await opened.get(ASK, max_bytes=4) == body
        assert (peer.connections, peer.asked) == ((1, 2) if trusted else (0, 0))


async def test_refused_connections_are_given_up() -> None:
    opened = Wire("127.0.0.1", unused_port(), None, connect_timeout_s=30, read_timeout_s=30)
    assert await opened.get(ASK, max_bytes=4) is None


@pytest.mark.parametrize("script", [[], [PLAIN[:20]], [PLAIN[:-1]]])
async def test_bytes_that_stop_coming_are_a_timeout(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    monkeypatch.setattr(wire, "_LOOK_S", 0.01)
    async with wired(script, [PLAIN], read_timeout_s=0.05) as (opened, peer):
        with pytest.raises(TimeoutError):
            await opened.get(ASK, max_bytes=4)
        assert not opened._open
        await until(lambda: peer.connections == 1)


async def test_a_visitor_who_leaves_takes_the_connection_along() -> None:
    async with wired([PLAIN[:-1]], [PLAIN]) as (opened, peer):
        asking = asyncio.create_task(opened.get(ASK, max_bytes=4))
        await until(lambda: peer.asked == 1)
        asking.cancel()
        await asyncio.wait([asking])
        assert await opened.get(ASK, max_bytes=4) == b"body"
        assert peer.connections == 2


async def test_idle_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_LOOK_S", 0.01)
    monkeypatch.setattr(wire, "IDLE_S", 0.02)
    async with wired([PLAIN]) as (opened, _):
        assert await opened.get(ASK, max_bytes=4) == b"body"
        await until(lambda: not opened._open)


async def test_there_are_so_many_connections_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_CONNECTIONS", 3)
    async with wired([PLAIN]) as (opened, peer):
        answers = await asyncio.gather(*(opened.get(ASK, max_bytes=4) for _ in range(20)))
        assert answers == [b"body"] * 20
        assert peer.connections <= 3
