"""Clients that read slowly, stop, or leave in the middle of a large file."""

import asyncio
import fcntl
import logging
import socket
import termios
from array import array
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from scalemesh import keys
from scalemesh.artifacts import DirectoryStore, directory
from scalemesh.artifacts.store import CHUNK_BYTES, ArtifactReader
from scalemesh.model import ProjectID
from scalemesh.sites import SiteHost, Sites, respond
from scalemesh.sites.plan import Plan
from tests.sites.front import Routes, read_answer, serve
from tests.sites.site import publish, sha256
from tests.sites.watched import WatchedStore, until

LARGE = bytes(range(256)) * 4096 * 25  # 25 MiB, more than the loopback's buffers hold
REQUEST = b"GET /large.bin HTTP/1.1\r\nHost: a.localhost\r\n\r\n"


@pytest.fixture
def store(tmp_path: Path) -> WatchedStore:
    return WatchedStore(DirectoryStore(tmp_path))


@pytest.fixture
async def port(store: WatchedStore) -> AsyncIterator[int]:
    routes = Routes({SiteHost("a", None): await publish(store, {"/large.bin": LARGE})})
    async with serve(Sites(routes.fetch, store)) as port:
        yield port


async def connect(port: int) -> socket.socket:
    """A connection that holds little, and reads only when a test does."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, REQUEST)
    return client


def waiting_bytes(transports: list[asyncio.Transport]) -> list[int]:
    return [transport.get_write_buffer_size() for transport in transports]


@pytest.fixture
def transports(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Transport]:
    """The server's side of each connection that a large answer is sent on."""
    seen: list[asyncio.Transport] = []
    stream = respond._stream

    async def watched(request: web.BaseRequest, plan: Plan, reader: ArtifactReader) -> web.StreamResponse:
        assert request.transport is not None
        seen.append(request.transport)
        return await stream(request, plan, reader)

    monkeypatch.setattr(respond, "_stream", watched)
    return seen


async def test_clients_that_stop_reading_cost_a_few_chunks_each(
    port: int, store: WatchedStore, transports: list[asyncio.Transport]
) -> None:
    clients = [await connect(port) for _ in range(20)]
    # Full: the kernel takes no more of any of them.
    await until(lambda: len(transports) == 20 and all(waiting_bytes(transports)))
    read = store.streamed_bytes
    for _ in range(1_000):
        await asyncio.sleep(0)
    assert max(waiting_bytes(transports)) <= 4 * CHUNK_BYTES
    assert store.streamed_bytes - read <= 20 * 2 * CHUNK_BYTES
    assert store.streamed_bytes < 20 * len(LARGE) / 2
    for client in clients:
        client.close()
    await until(lambda: store.open_readers == 0)


async def test_five_hundred_that_stop_reading_leave_memory_bounded(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    routes = Routes({SiteHost("a", None): await publish(store, {"/large.bin": LARGE})})
    async with serve(Sites(routes.fetch, store)) as port:
        before = psutil.Process().memory_info().rss
        clients = [await connect(port) for _ in range(500)]
        # Each has got what the kernel keeps for it, and then there is nothing more to read.
        await until(lambda: all(map(readable_bytes, clients)))
        used = [-1]
        while used[-1] != (now := sum(map(readable_bytes, clients))):
            used.append(now)
            await asyncio.sleep(0.1)
        assert psutil.Process().memory_info().rss - before < 500 * CHUNK_BYTES
        for client in clients:
            client.close()


async def test_a_file_of_this_machine_is_sent_without_reading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryStore(tmp_path)
    routes = Routes({SiteHost("a", None): await publish(store, {"/large.bin": LARGE})})
    monkeypatch.setattr(directory, "_read_chunk", None)
    async with serve(Sites(routes.fetch, store)) as port:
        client = await connect(port)
        reader, writer = await asyncio.open_connection(sock=client)
        assert (await read_answer(reader)).body == LARGE
        # The same connection goes on, also with many in one piece.
        part = b"GET /large.bin HTTP/1.1\r\nHost: a.localhost\r\nRange: bytes=5-2000004\r\n\r\n"
        writer.write(part * 3)
        for _ in range(3):
            assert (await read_answer(reader)).body == LARGE[5:2000005]
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "stops"])
async def test_a_client_of_a_file_that_does_not_take_it_lets_it_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if not leaves:
        monkeypatch.setattr(respond, "STALL_TIMEOUT_S", 0.1)
    store = DirectoryStore(tmp_path)
    routes = Routes({SiteHost("a", None): await publish(store, {"/large.bin": LARGE})})
    blob = tmp_path / keys.blob(ProjectID("p1"), sha256(LARGE))

    def is_open() -> bool:
        return any(Path(file.path) == blob for file in psutil.Process().open_files())

    async with serve(Sites(routes.fetch, store)) as port:
        with await connect(port) as client:
            await until(lambda: readable_bytes(client) > 0)
            if leaves:
                assert is_open()
                client.close()
            await until(lambda: not is_open())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def readable_bytes(client: socket.socket) -> int:
    count = array("i", [0])
    fcntl.ioctl(client, termios.FIONREAD, count)
    return count[0]


async def test_a_client_that_was_slow_gets_every_byte(port: int, transports: list[asyncio.Transport]) -> None:
    client = await connect(port)
    await until(lambda: any(waiting_bytes(transports)))
    reader, writer = await asyncio.open_connection(sock=client)
    assert (await read_answer(reader)).body == LARGE
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_leaves_is_no_error(
    port: int, store: WatchedStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        client = await connect(port)
        await until(lambda: store.open_readers == 1)
        client.close()
        await until(lambda: store.open_readers == 0)
    assert store.streamed_bytes < len(LARGE)
    assert [record for record in caplog.records if record.name != "aiohttp.access"] == []


async def test_a_client_that_takes_nothing_for_too_long_is_cut_off(
    port: int, store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(respond, "STALL_TIMEOUT_S", 0.1)
    with await connect(port):
        await until(lambda: store.streamed_bytes > 0)
        await until(lambda: store.open_readers == 0)
    assert store.streamed_bytes < len(LARGE)


async def test_a_store_that_breaks_off_is_never_a_whole_answer(
    port: int, store: WatchedStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.breaks_after_bytes = 5 * CHUNK_BYTES
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await read_answer(reader)
    writer.close()
    await until(lambda: store.open_readers == 0)
    assert "broke off /large.bin: broken by the test" in caplog.text
