"""Which host a request is for."""

import asyncio

import pytest

from tests.parts.server import Client


async def raw(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(60):
            return await reader.read(65536)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"Host: a\r\nHost: b\r\n",
        b"Host: \r\n",
        b"Host: a,b\r\n",
        b"Host: u@localhost\r\n",
        b"Host: localhost:99999\r\n",
        b"Host: " + b"a" * 300 + b"\r\n",
        b"Host: local\x00host\r\n",
        b"Host: xn--..localhost\r\n",
    ],
)
async def test_a_host_that_is_none_is_a_400_or_404(visitor: Client, lines: bytes) -> None:
    answer = await raw(visitor.port, b"GET / HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n")
    assert answer.split(b" ", 2)[1] in (b"400", b"404"), answer


async def test_an_absolute_target_does_not_override_host(visitor: Client) -> None:
    request = b"GET http://other.localhost/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert (await raw(visitor.port, request)).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"X: a\nY: b\r\n\r\n",
    ],
)
async def test_a_request_that_two_parsers_would_read_differently_is_refused(
    visitor: Client, head: bytes
) -> None:
    request = b"POST /user/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + head
    # aiohttp's parser answers these itself, as HTTP/1.0, which also closes the connection.
    assert (await raw(visitor.port, request)).startswith(b"HTTP/1.0 400")


async def test_health_is_told_by_whatever_name_it_is_asked(visitor: Client) -> None:
    for path in ("/health", "/health/live"):
        answer = await visitor.get(path, headers={"Host": "10.1.2.3:9000"})
        assert (answer.status, answer.json["status"]) == (200, "ok")
    assert (await visitor.get("/login", headers={"Host": "10.1.2.3:9000"})).status == 404


async def test_health_names_the_parts(visitor: Client) -> None:
    answer = await visitor.get("/health")
    assert answer.json == {"status": "ok", "checks": {"postgres": "ok", "redis": "ok", "store": "ok"}}


async def test_a_site_never_sees_the_application_nor_its_cookie(user: Client) -> None:
    for path in ("/user/me", "/api/projects", "/health"):
        answer = await user.site(f"http://nobody-here.localhost:{user.port}", path)
        assert answer.status == 404
        assert "Set-Cookie" not in answer.headers
