"""First answers on real connections: in order, once, to the end of the server, and counted like aiohttp's."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from scalemesh.artifacts import DirectoryStore
from scalemesh.sites import SiteHost, Sites, routes
from tests.sites.front import Answer, Routes, read_answer, serve
from tests.sites.site import Files, compressed, etag, publish, sha256
from tests.sites.watched import WatchedStore, until

PAGES = {f"/{number}.html": compressed(f"page {number}".encode() * 500) for number in range(4)}
GONE = b"nobody has it any more"
FILES: Files = {"/index.html": b"home", "/empty.png": b"", "/gone.html": GONE, **PAGES}


def get(path: str, *lines: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a.localhost", *lines, "", ""]).encode()


@dataclass
class Site:
    sites: Sites
    store: WatchedStore
    port: int
    noted: list[tuple[bytes, int, int]] = field(default_factory=list)
    """Of each first answer: what asked, the status, and the bytes that were sent."""

    def note(self, peer: object, head: bytes, answer: bytes, size_bytes: int, took_s: float) -> None:
        assert isinstance(peer, tuple)
        assert took_s >= 0
        self.noted.append((head.split(b" ")[1], int(answer[9:12]), size_bytes))

    @asynccontextmanager
    async def client(self) -> AsyncIterator["Client"]:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        try:
            yield client
        finally:
            client.writer.close()


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, data: bytes) -> Answer:
        self.writer.write(data)
        return await self.answer(head=data.startswith(b"HEAD"))

    async def answer(self, *, head: bool = False) -> Answer:
        async with asyncio.timeout(60):
            return await read_answer(self.reader, head=head)

    async def ended(self) -> bytes:
        async with asyncio.timeout(60):
            return await self.reader.read()


@asynccontextmanager
async def serve_site(directory: Path, **options: Any) -> AsyncIterator[Site]:
    """One whose route and manifest are known, and no blob but the home page's."""
    store = WatchedStore(DirectoryStore(directory))
    known = Routes({SiteHost("a", None): await publish(store, FILES)})
    sites = Sites(known.fetch, store)
    sites.routes.heard()
    site = Site(sites, store, 0)
    async with serve(sites, note=site.note, **options) as site.port:
        async with site.client() as client:
            await client.ask(get("/"))
        assert site.noted == []
        store.reads.clear()
        yield site


@pytest.fixture(autouse=True)
def long_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "HEARD_TTL_S", 1000.0)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serve_site(tmp_path) as site:
        yield site


async def test_each_is_noted_with_its_status_and_bytes(site: Site) -> None:
    page = PAGES["/1.html"]
    requests = {
        get("/1.html"): (200, page.content),
        get("/1", "Accept-Encoding: br", "Cookie: a=b"): (200, page.encodings["br"]),
        get("/2", method="HEAD"): (200, b""),
        get("/empty.png"): (200, b""),
        get("/3", f"If-None-Match: {etag(PAGES['/3.html'].content)}"): (304, b""),
    }
    async with site.client() as client:
        for number, (request, (status, body)) in enumerate(requests.items(), 1):
            answer = await client.ask(request)
            assert (answer.status, answer.body) == (status, body)
            await until(lambda number=number: len(site.noted) == number)  # type: ignore[misc]
            assert site.noted[-1][:2] == (request.split(b" ")[1], status)
            assert len(body) < site.noted[-1][2] < len(body) + 500
        assert (await client.ask(get("/nothing"))).status == 404
        for request, (status, _) in requests.items():
            assert (await client.ask(request)).status == status
    assert len(site.noted) == 1 + len(requests), "the second time they are prepared"
    assert site.sites.counters.hot.total() == len(requests)
    assert site.sites.counters.store == 3


@pytest.mark.parametrize(
    "request_",
    [
        get("/1/"),
        get("/1.html", "Range: bytes=0-3"),
        get("/nothing.css"),
        get("/1.html", "Content-Length: 0"),
        get("/1.html", "Expect: 100-continue"),
        get("/1.html").replace(b"a.localhost", b"b.localhost"),
    ],
)
async def test_what_is_not_simple_is_aiohttps(site: Site, request_: bytes) -> None:
    async with site.client() as client:
        client.writer.write(request_)
        await client.reader.readuntil(b"\r\n\r\n")
    assert site.noted == []


async def test_many_who_ask_at_once_wait_for_one_read(site: Site) -> None:
    site.store.gate.clear()
    async with site.client() as first, site.client() as second, site.client() as third:
        clients = (first, second, third)
        for client in clients:
            client.writer.write(get("/1.html"))
        await until(lambda: site.sites.counters.routes_known == 3)
        site.store.gate.set()
        for client in clients:
            assert (await client.answer()).body == PAGES["/1.html"].content
    assert len(site.store.reads) == 1


async def test_what_comes_behind_one_is_answered_behind_it(site: Site) -> None:
    async with site.client() as client:
        for _ in range(2):
            await client.ask(get("/"))
        site.store.gate.clear()
        client.writer.write(get("/1.html") + get("/") + get("/2.html")[:20])
        await until(lambda: bool(site.store.reads))
        client.writer.write(get("/2.html")[20:] + get("/") + get("/3/") + get("/3.html"))
        await asyncio.sleep(0)
        site.store.gate.set()
        answers = [await client.answer() for _ in range(6)]
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 308, 200]
    assert [answer.body for answer in answers if answer.status == 200] == [
        PAGES["/1.html"].content,
        b"home",
        PAGES["/2.html"].content,
        b"home",
        PAGES["/3.html"].content,
    ]


async def test_without_its_blob_it_is_a_503_and_the_connection_goes_on(site: Site) -> None:
    (Path(site.store.url) / f"__output/p1/blobs/{sha256(GONE)}").unlink()
    async with site.client() as client:
        for _ in range(2):
            answer = await client.ask(get("/gone.html"))
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "2"
        assert (await client.ask(get("/1.html"))).status == 200
    await until(lambda: [status for _, status, _ in site.noted] == [503, 503, 200])


async def test_one_whose_client_left_is_kept_and_counted_as_nothing_sent(site: Site) -> None:
    site.store.gate.clear()
    async with site.client() as client:
        client.writer.write(get("/1.html"))
        await until(lambda: bool(site.store.reads))
        client.writer.transport.abort()
    async with site.client() as client:
        # Answered later than the server saw the other one go.
        assert (await client.ask(get("/"))).body == b"home"
        site.store.gate.set()
        await until(lambda: bool(site.noted))
        assert site.noted[0] == (b"/1.html", 200, 0)
        assert (await client.ask(get("/1.html"))).status == 200
    assert len(site.store.reads) == 1


async def test_waiting_is_not_being_idle(tmp_path: Path) -> None:
    async with serve_site(tmp_path, keepalive_timeout=0.1) as site, site.client() as client:
        site.store.gate.clear()
        client.writer.write(get("/1.html"))
        await asyncio.sleep(0.5)
        site.store.gate.set()
        assert (await client.answer()).status == 200
        assert await client.ended() == b"", "and afterwards it is"


async def test_the_end_of_the_server_waits_for_it(tmp_path: Path) -> None:
    def is_closed(port: int) -> bool:
        with socket.socket() as knocking:
            return knocking.connect_ex(("127.0.0.1", port)) != 0

    async def let_go(site: Site, client: Client) -> None:
        await until(lambda: is_closed(site.port))
        site.store.gate.set()
        assert (await client.answer()).body == PAGES["/1.html"].content
        assert await client.ended() == b""

    async with asyncio.TaskGroup() as tasks, serve_site(tmp_path, shutdown_timeout=60) as site:
        client = Client(*await asyncio.open_connection("127.0.0.1", site.port))
        site.store.gate.clear()
        client.writer.write(get("/1.html"))
        await until(lambda: bool(site.store.reads))
        tasks.create_task(let_go(site, client))
    client.writer.close()


async def test_and_not_for_ever(tmp_path: Path) -> None:
    async with serve_site(tmp_path) as site:
        client = Client(*await asyncio.open_connection("127.0.0.1", site.port))
        site.store.gate.clear()
        client.writer.write(get("/1.html"))
        await until(lambda: bool(site.store.reads))
    assert await client.ended() == b""
    client.writer.close()
