"""Clients that read slowly, stop, or leave in the middle of a large file."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from scalemesh.artifacts import DirectoryStore
from scalemesh.artifacts.store import CHUNK_BYTES, ArtifactReader
from scalemesh.sites import SiteHost, Sites, respond
from scalemesh.sites.plan import Plan
from tests.sites.front import Routes, read_answer, serve
from tests.sites.site import publish
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
