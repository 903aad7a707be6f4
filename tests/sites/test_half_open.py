"""Connections that never become a request: nobody else is kept waiting by them, and they are closed."""

import asyncio
import resource
import socket

import pytest

from scalemesh import app
from tests.parts.server import StartServer

CONNECTIONS = 1_000
KEEPALIVE_S = 2.0
"""Of the server in this test; it is 15 s elsewhere, and closing takes as long."""

CLOSED_WITHIN_S = 60

BEGINNINGS = (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a.localhost\r\n", b"GET / HTTP/1.1\r\nHost: a.loc")


@pytest.fixture
def many_files() -> None:
    """Both ends of each connection are this process's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < 4 * CONNECTIONS:
        wanted = 4 * CONNECTIONS if hard == resource.RLIM_INFINITY else min(4 * CONNECTIONS, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@pytest.mark.usefixtures("many_files")
async def test_a_thousand_half_open_connections_are_closed_and_others_served_meanwhile(
    new_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_KEEPALIVE_S", KEEPALIVE_S)
    loop = asyncio.get_running_loop()
    async with new_server() as server, server.visitor() as visitor:
        connections = []
        for number in range(CONNECTIONS):
            connection = socket.socket()
            connection.setblocking(False)
            await loop.sock_connect(connection, ("127.0.0.1", server.port))
            await loop.sock_sendall(connection, BEGINNINGS[number % len(BEGINNINGS)])
            connections.append(connection)

        async def closed(connection: socket.socket) -> None:
            try:
                while await loop.sock_recv(connection, 4096):
                    pass
            except ConnectionResetError:
                pass
            finally:
                connection.close()

        async with asyncio.timeout(CLOSED_WITHIN_S), asyncio.TaskGroup() as tasks:
            for connection in connections:
                tasks.create_task(closed(connection))
            answer = await visitor.site(f"http://nobody.localhost:{server.port}")
            assert "No site lives here yet" in answer.text
