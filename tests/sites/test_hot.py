"""Prepared answers on real connections: in order, bounded, never old, and never in aiohttp's way."""

import asyncio
import inspect
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp.web_protocol import RequestHandler

from scalemesh.artifacts import DirectoryStore
from scalemesh.logs.events import SiteChanged
from scalemesh.model import DeploymentID, ProjectID, SiteRoute
from scalemesh.sites import RouteUnavailable, SiteHost, Sites, protocol, routes
from scalemesh.sites.blobs import MAX_BLOB_BYTES
from scalemesh.sites.plan import Plan
from scalemesh.sites.routes import Lead
from tests.sites.front import Answer, Routes, read_answer, serve
from tests.sites.site import etag, publish
from tests.sites.watched import WatchedStore, until

NOON = 946_641_600  # the last day of 1999, UTC
HOME = b"<h1>home</h1>"
LARGE = bytes(MAX_BLOB_BYTES)
FILES = {"/index.html": HOME, "/docs/index.html": b"docs", "/large.png": LARGE, "/larger.png": LARGE + b"x"}


def get(path: str = "/", *lines: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a.localhost", *lines, "", ""]).encode()


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, head: bool = False) -> Answer:
        async with asyncio.timeout(60):
            return await read_answer(self.reader, head=head)

    async def ask(self, data: bytes) -> Answer:
        await self.send(data)
        return await self.answer(head=data.startswith(b"HEAD"))

    async def ended(self) -> bytes:
        async with asyncio.timeout(60):
            return await self.reader.read()


@dataclass
class Site:
    sites: Sites
    routes: Routes
    store: WatchedStore
    port: int

    @property
    def hot(self) -> int:
        return self.sites.counters.hot.total()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Connection(reader, writer)
        finally:
            writer.close()

    async def warm(self, *requests: bytes) -> None:
        async with self.connection() as connection:
            for request in requests:
                await connection.ask(request)


@asynccontextmanager
async def serve_site(directory: Path, **options: Any) -> AsyncIterator[Site]:
    store = WatchedStore(DirectoryStore(directory))
    known = Routes({SiteHost("a", None): await publish(store, FILES)})
    sites = Sites(known.fetch, store)
    async with serve(sites, **options) as port:
        yield Site(sites, known, store, port)


@pytest.fixture(autouse=True)
def long_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a machine that has no time for a second or five."""
    monkeypatch.setattr(routes, "TTL_S", 100.0)
    monkeypatch.setattr(routes, "HEARD_TTL_S", 1000.0)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serve_site(tmp_path) as site:
        yield site


@pytest.mark.parametrize(
    "request_",
    [
        get("/"),
        get("/", method="HEAD"),
        get("/docs/?utm=1", "Cookie: a=b"),
        get("/", f"If-None-Match: {etag(HOME)}", "Connection: keep-alive"),
        get("/large.png", "Accept-Encoding: gzip, br", "User-Agent: x"),
        get("/nothing"),
        get("/nothing.css", method="HEAD"),
    ],
)
async def test_the_second_answer_is_the_first_ones_copy(site: Site, request_: bytes) -> None:
    async with site.connection() as connection:
        first = await connection.ask(request_)
        assert site.hot == 0
        second = await connection.ask(request_)
        assert site.hot == 1
        del first.headers["Date"], second.headers["Date"]
        assert list(second.headers.items()) == list(first.headers.items())
        assert second == first


@pytest.mark.parametrize(
    "request_",
    [
        get("/docs"),
        get("/larger.png"),
        get("/", "Range: bytes=0-3"),
        get("/").replace(b"a.localhost", b"b.localhost"),
    ],
)
async def test_what_is_not_prepared_goes_through_aiohttp(site: Site, request_: bytes) -> None:
    await site.warm(request_, request_, request_)
    assert site.hot == 0


async def test_a_pipeline_is_answered_in_order_hot_or_not(site: Site) -> None:
    await site.warm(get("/"), get("/docs/"))
    paths = ["/", "/docs/", "/", "/nothing", "/", "/docs/", "/docs", "/"]
    async with site.connection() as connection:
        await connection.send(b"".join(map(get, paths)))
        answers = [await connection.answer() for _ in paths]
        assert [answer.status for answer in answers] == [200, 200, 200, 404, 200, 200, 308, 200]
        assert [answer.body for answer in answers if answer.status == 200] == [
            FILES[f"{path}index.html"] for path in paths if path.endswith("/")
        ]
        assert site.hot == 5
        await connection.ask(get("/"))
        await connection.ask(get("/"))
        assert site.hot == 7, "the connection is as hot as before"


async def test_a_head_may_come_in_pieces(site: Site) -> None:
    await site.warm(get("/"))
    async with site.connection() as connection:
        for cut in (1, 20, len(get("/")) - 1):
            await connection.send(get("/") + get("/docs/")[:cut])
            assert (await connection.answer()).body == HOME
            assert (await connection.ask(get("/docs/")[cut:])).body == b"docs"
        assert (await connection.ask(get("/"))).body == HOME


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_body_is_never_taken_for_a_request(site: Site, method: str) -> None:
    await site.warm(get("/"))
    body = get("/")
    head = get("/", f"Content-Length: {2 * len(body)}", method=method)
    status = 200 if method == "GET" else 405
    async with site.connection() as connection:
        for pieces in [(head + body + body,), (head, body + body), (head, body, body), (head + body, body)]:
            for piece in pieces:
                await connection.send(piece)
                for _ in range(20):
                    await asyncio.sleep(0)
            assert (await connection.answer()).status == status
            assert (await connection.ask(get("/docs/"))).body == b"docs"


async def test_an_upgrade_is_aiohttps(site: Site) -> None:
    await site.warm(get("/"))
    upgrade = get("/", "Connection: Upgrade", "Upgrade: websocket")
    async with site.connection() as connection:
        await connection.send(upgrade + get("/docs/"))
        assert (await connection.answer()).body == HOME
        assert (await connection.answer()).body == b"docs"
        assert site.hot == 0


async def test_a_client_that_asks_for_the_end_gets_it(site: Site) -> None:
    await site.warm(get("/"))
    async with site.connection() as connection:
        await connection.send(get("/") + get("/", "Connection: close"))
        assert (await connection.answer()).body == HOME
        assert (await connection.answer()).headers["Connection"] == "close"
        assert await connection.ended() == b""


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Transport]:
    """The server's side of each connection whose client takes less than there is."""
    seen: list[asyncio.Transport] = []
    pause = protocol.HotHandler.pause_writing

    def watched(self: protocol.HotHandler) -> None:
        assert self.transport is not None
        seen.append(self.transport)
        pause(self)

    monkeypatch.setattr(protocol.HotHandler, "pause_writing", watched)
    return seen


async def connect_without_reading(site: Site, data: bytes) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", site.port))
    await loop.sock_sendall(client, data)
    return client


async def test_a_client_that_takes_no_answers_is_not_read_from(
    site: Site, paused: list[asyncio.Transport]
) -> None:
    await site.warm(get("/large.png"))
    requests = 60
    client = await connect_without_reading(site, get("/large.png") * requests)
    await until(lambda: bool(paused))
    assert not paused[0].is_reading()
    assert paused[0].get_write_buffer_size() < 3 * MAX_BLOB_BYTES
    reader, writer = await asyncio.open_connection(sock=client)
    for _ in range(requests):
        assert (await read_answer(reader)).body == LARGE
    writer.write(get("/"))
    assert (await read_answer(reader)).body == HOME
    writer.close()


async def test_a_client_that_takes_nothing_for_too_long_is_cut_off(
    site: Site, paused: list[asyncio.Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "STALL_TIMEOUT_S", 0.1)
    await site.warm(get("/large.png"))
    with await connect_without_reading(site, get("/large.png") * 20):
        await until(lambda: bool(paused) and paused[0].is_closing())
        await until(lambda: paused[0].get_write_buffer_size() == 0)


async def test_a_client_that_has_taken_something_is_not_cut_off(
    site: Site, paused: list[asyncio.Transport]
) -> None:
    await site.warm(get("/large.png"))
    with await connect_without_reading(site, get("/large.png") * 20):
        await until(lambda: bool(paused))
        handler = paused[0].get_protocol()
        assert isinstance(handler, protocol.HotHandler)
        size = paused[0].get_write_buffer_size()
        handler._look_for_progress(paused[0], size + 1)
        assert not paused[0].is_closing()
        handler._look_for_progress(paused[0], size)
        assert paused[0].is_closing()


async def test_an_answer_pushes_the_end_of_an_idle_connection_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[protocol.HotHandler] = []
    make = protocol.HotHandler.connection_made

    def watched(self: protocol.HotHandler, transport: asyncio.BaseTransport) -> None:
        seen.append(self)
        make(self, transport)

    monkeypatch.setattr(protocol.HotHandler, "connection_made", watched)
    now = asyncio.get_running_loop().time
    async with site.connection() as connection:
        await connection.ask(get("/"))
        for number in range(1, 4):
            seen[0]._next_keepalive_close_time = 0.0
            await connection.ask(get("/"))
            assert site.hot == number
            assert seen[0]._next_keepalive_close_time > now()


async def test_a_connection_that_rests_after_prepared_answers_is_closed(tmp_path: Path) -> None:
    async with serve_site(tmp_path) as site:
        await site.warm(get("/"))
    async with serve(site.sites, keepalive_timeout=0.1) as site.port, site.connection() as connection:
        await connection.ask(get("/"))
        assert site.hot == 1
        assert await connection.ended() == b""


async def test_the_end_of_the_server_ends_idle_connections(tmp_path: Path) -> None:
    async with serve_site(tmp_path) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        connection = Connection(reader, writer)
        await connection.ask(get("/"))
        await connection.ask(get("/"))
    assert await connection.ended() == b""
    writer.close()


async def test_what_goes_live_is_seen_at_once_on_an_open_connection(site: Site) -> None:
    async with site.connection() as connection:
        for _ in range(2):
            assert (await connection.ask(get("/"))).body == HOME
        assert site.hot == 1
        site.routes.routes[SiteHost("a", None)] = await publish(
            site.store, {"/index.html": b"new"}, deployment="d2"
        )
        site.sites.routes.handle(SiteChanged(ProjectID("p1")))
        for _ in range(3):
            assert (await connection.ask(get("/"))).body == b"new"
        assert site.hot == 3


async def test_without_the_database_and_the_store_hot_sites_never_fail(site: Site) -> None:
    async with site.connection() as connection:
        await connection.ask(get("/"))
        site.routes.error = RouteUnavailable("connection refused")
        await site.store.delete_prefix("__output/")
        for _ in range(3):
            site.sites.routes.heard()
            for _ in range(3):
                assert (await connection.ask(get("/"))).body == HOME
        assert site.hot == 6


async def test_the_date_is_todays(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    hot = site.sites.hot
    lead = Lead(SiteRoute(ProjectID("p"), DeploymentID("d"), 1, preview=False), 1e9)
    hot.prepare(("GET", "/", "a", "", "", "", "", ""), Plan(304, {}, b""), b"", lead)
    monkeypatch.setattr("time.time", lambda: NOON + 0.25)
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    def date(now: float) -> bytes:
        found = hot.find(request, now)
        assert found is not None
        return found[0].split(b"Date: ")[1]

    first = date(100.0)
    assert first == b"Fri, 31 Dec 1999 12:00:00 GMT\r\n\r\n"
    monkeypatch.setattr("time.time", lambda: NOON + 1)
    assert date(100.7) == first
    kept = hot.ready[request]
    assert kept.data.endswith(first)
    assert kept.until == 100.75
    assert date(100.75) == b"Fri, 31 Dec 1999 12:00:01 GMT\r\n\r\n"
    assert hot.ready[request] is not kept


def test_paths_that_were_made_up_push_out_one_another_only(site: Site) -> None:
    hot = site.sites.hot
    lead = Lead(SiteRoute(ProjectID("p"), DeploymentID("d"), 1, preview=False), 1e9)

    def found(path: str) -> bool:
        return hot.find(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 1.0) is not None

    hot.prepare(("GET", "/", "a", "", "", "", "", ""), Plan(200, {}, b""), b"page", lead)
    for number in range(10_000):
        hot.prepare(("GET", f"/{number}", "a", "", "", "", "", ""), Plan(404, {}, b""), b"", lead)
    assert found("/")
    assert found("/9999")
    assert not found("/0")


async def test_a_page_comes_and_goes(site: Site) -> None:
    async def publish_as(deployment: str, files: dict[str, bytes]) -> None:
        site.routes.routes[SiteHost("a", None)] = await publish(site.store, files, deployment=deployment)
        site.sites.routes.handle(SiteChanged(ProjectID("p1")))

    site.sites.routes.heard()
    async with site.connection() as connection:
        for number, status in enumerate([404, 200, 404, 200]):
            await publish_as(f"d{number}", {"/x": b"x"} if status == 200 else {})
            for _ in range(3):
                assert (await connection.ask(get("/x"))).status == status
        assert set(site.sites.counters.hot) == {404, 200}


def test_every_private_name_of_aiohttp_is_where_it_was() -> None:
    for owner, names in protocol.PRIVATE.items():
        for name in names:
            assert hasattr(owner, name) or name in inspect.getsource(owner), f"{owner}.{name}"
    written = set(inspect.getsource(protocol).replace("\n", " ").split("self._")[1:])
    own = set(protocol.HotHandler.__slots__) | {n for n in vars(protocol.HotHandler) if n.startswith("_")}
    used = {"_" + text.split("(")[0].split(")")[0].split()[0].split(".")[0].rstrip(",:+") for text in written}
    assert used - own <= {name for names in protocol.PRIVATE.values() for name in names}
    assert issubclass(protocol.HotHandler, RequestHandler)
