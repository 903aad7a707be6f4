"""A real server with sites behind it, and a client that sends exact bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from scalemesh.model import SiteRoute
from scalemesh.sites import (
    BadHost,
    FirstAnswers,
    Hostnames,
    HotRunner,
    SiteHost,
    Sites,
    bad_host_response,
    parse_host,
    unknown_host_response,
)
from scalemesh.sites.first import Note
from scalemesh.web.front import Handler, on_prepare

NAMES = Hostnames.of(control_hosts=["localhost"], sites_domain="localhost")
ANSWER_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: CIMultiDict[str]
    body: bytes


class Routes:
    """What the database would say, by host; ``error`` is what it raises instead."""

    def __init__(self, routes: dict[SiteHost, SiteRoute]) -> None:
        self.routes = routes
        self.error: Exception | None = None

    async def fetch(self, host: SiteHost) -> SiteRoute | None:
        if self.error:
            raise self.error
        return self.routes.get(host)


def _unnoted(*_: object) -> None:
    """Nobody listens."""


@asynccontextmanager
async def serve(
    sites: Sites, *, hot: bool = True, note: Note = _unnoted, **options: Any
) -> AsyncIterator[int]:
    """The port of a server that answers for sites, and as for a stranger's host for everything else.

    Without ``hot`` every request goes through aiohttp. ``note`` is told of first answers.
    """

    @web.middleware
    async def front(request: web.Request, handler: Handler) -> web.StreamResponse:
        match parse_host(request.headers.getall("Host", ()), request.raw_path, NAMES):
            case SiteHost() as host:
                return await sites.respond(request, host)
            case BadHost():
                return bad_host_response()
        return unknown_host_response()

    app = web.Application(middlewares=[front])
    app.on_response_prepare.append(on_prepare)
    options = {"shutdown_timeout": 0.1, "access_log": None, **options}
    first = FirstAnswers(sites, NAMES, note)
    runner = HotRunner(app, sites.hot, first, **options) if hot else web.AppRunner(app, **options)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def exchange(port: int, data: bytes) -> Answer:
    """Send ``data`` and read one answer, to the end of its body or of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await read_answer(reader, head=data.startswith(b"HEAD "))
    finally:
        writer.close()
        await writer.wait_closed()


async def get(
    port: int, path: str, *, host: str = "a.localhost", method: str = "GET", **headers: str
) -> Answer:
    """``headers`` are named as in Python: ``if_none_match``."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return await exchange(
        port, "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode()
    )


async def read_answer(reader: asyncio.StreamReader, *, head: bool = False) -> Answer:
    status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
    status = int(status_line.split()[1])
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        name, _, value = line.partition(":")
        headers.add(name, value.strip())
    assert "Set-Cookie" not in headers
    if head or status == 304:
        return Answer(status, headers, b"")
    return Answer(status, headers, await reader.readexactly(int(headers["Content-Length"])))
