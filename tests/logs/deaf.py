"""Clients that take nothing."""

import asyncio
import socket

from tests.parts.server import Client


async def connect(client: Client, request_line: str, **headers: str) -> socket.socket:
    """A connection whose answer nobody reads."""
    cookie = next(iter(client.session.cookie_jar))
    sent = {"Host": f"localhost:{client.port}", "Cookie": f"{cookie.key}={cookie.value}", **headers}
    head = request_line + "".join(f"{name}: {value}\r\n" for name, value in sent.items()) + "\r\n"
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", client.port))
    await loop.sock_sendall(connection, head.encode())
    return connection


async def drain(connection: socket.socket) -> int:
    """How many bytes there are to the end, which has to come."""
    received = 0
    loop = asyncio.get_running_loop()
    try:
        while chunk := await loop.sock_recv(connection, 1 << 20):
            received += len(chunk)
    except ConnectionResetError:
        pass
    return received
