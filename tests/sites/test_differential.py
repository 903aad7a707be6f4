"""With prepared and first answers and without them a client receives the same bytes, but for the date."""

import asyncio
import itertools
import os
import re
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalemesh.artifacts import DirectoryStore
from scalemesh.sites import SiteHost, Sites
from tests.sites.front import Routes, serve
from tests.sites.site import LAST_MODIFIED, Files, compressed, etag, publish

EXAMPLES = int(os.environ.get("DIFFERENTIAL_EXAMPLES", "150"))
FEW = EXAMPLES // 15
"""Of hot and of first answers there have to be more, or nothing was compared."""
ANSWER_TIMEOUT_S = 60
HOME = b"<h1>home</h1>"
INNER = b"GET / HTTP/1.1\r\nHost: a.localhost\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: a.localhost\r\nConnection: close\r\n\r\n"

# What aiohttp takes.
TARGETS = [
    "/",
    "/index.html",
    "/docs",
    "/docs/",
    "/empty.png",
    "/nothing",
    "/?a=1",
    "/%69ndex.html",
    "//evil/",
]
HOSTS = [*["a.localhost"] * 4, "A.localhost.:80", "d2--a.localhost", "nobody.localhost", "evil", "a b", ""]
HEADERS = [
    *["Accept-Encoding: br", "accept-encoding: gzip, br;q=0.5 ", "Accept-Encoding:", "Accept-Encoding: br\t"],
    *[f"If-None-Match: {etag(HOME)}", 'If-None-Match: "other"', "If-None-Match: *", "Accept: */*", "DNT: 1"],
    *[
        "Connection: keep-alive",
        "Connection: Keep-Alive",
        "User-Agent: x",
        "Cookie: a=b",
        "X:\té",
        "X: " + "x" * 7000,
    ],
    *[f"If-Modified-Since: {LAST_MODIFIED}", "Range: bytes=0-3", f"If-Range: {etag(HOME)}", "TE: trailers"],
    *[
        "Connection: upgrade",
        "Upgrade: websocket",
        "Upgrade: h2c",
        "Expect: 100-continue",
        "Keep-Alive: timeout=5",
    ],
]
# What it refuses, or ends the connection for; it also drops what came before that in the same read.
ODD_TARGETS = ["/a b", "/%", "/#x", "/\\", '/"', "/é", "http://a.localhost/", "http://b.localhost/", "*", ""]
ODD_HEADERS = [
    *["Host: a.localhost", "Host: b.localhost", "X : y", " folded", "X: \x00", "X: \x7f", "nonsense", ":"],
    *["Connection: close", "Proxy-Connection: close", "Sec-WebSocket-Key1: x", "Content-Length: x"],
    *["Accept-Encoding: \x01", "Content-Encoding: gzip", "X: " + "x" * 9000],
]
BODIES = [b"hello", b"\r\n\r\n", INNER, INNER + INNER, b"x" * 3000]


def _pick(draw: st.DrawFn, choices: Sequence[str]) -> str:
    return draw(st.sampled_from(choices))


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """A request without a body, such as there are."""
    method = _pick(draw, ["GET", "GET", "GET", "HEAD", "POST", "OPTIONS"])
    headers = [
        f"Host: {_pick(draw, HOSTS)}",
        *draw(st.lists(st.sampled_from(HEADERS), max_size=3, unique=True)),
    ]
    lines = [f"{method} {_pick(draw, TARGETS)} HTTP/1.1", *draw(st.permutations(headers)), "", ""]
    return "\r\n".join(lines).encode()


@st.composite
def odd_heads(draw: st.DrawFn) -> bytes:
    """A request that is broken in a way, or wishes to be the last."""
    lines = ["GET / HTTP/1.1", "Host: a.localhost", "", ""]
    match draw(st.integers(0, 4)):
        case 0:
            lines[0] = f"{_pick(draw, ['get', 'BREW', '', ' GET'])} / HTTP/1.1"
        case 1:
            lines[0] = f"GET {_pick(draw, ODD_TARGETS)} HTTP/1.1"
        case 2:
            lines[0] = f"GET / {_pick(draw, ['HTTP/1.0', 'HTTP/2.0', 'HTTP/1.1 ', 'http/1.1', ''])}"
        case 3:
            lines.insert(draw(st.integers(1, 2)), _pick(draw, ODD_HEADERS))
        case 4:
            return draw(heads()).replace(b"\r\n", b"\n")
    return "\r\n".join(lines).encode()


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A request with a body, framed in one way or another."""
    body = draw(st.sampled_from(BODIES))
    if draw(st.booleans()):
        frame, data = f"Content-Length: {len(body)}", body
    else:
        frame, data = "Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    request = f"{_pick(draw, ['GET', 'POST', 'PUT'])} {_pick(draw, ['/', '/docs/'])} HTTP/1.1"
    return f"{request}\r\nHost: a.localhost\r\n{frame}\r\n\r\n".encode() + data


USUAL = st.sampled_from(
    [
        INNER,
        b"HEAD / HTTP/1.1\r\nHost: a.localhost\r\n\r\n",
        b"GET /docs/ HTTP/1.1\r\nHost: a.localhost\r\nAccept-Encoding: br\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a.localhost\r\nIf-None-Match: {etag(HOME)}\r\n\r\n".encode(),
        b"GET / HTTP/1.1\r\nHost: a.localhost\r\nCookie: a=b\r\n\r\n",
    ]
)
REQUESTS = st.lists(st.one_of(USUAL, USUAL, heads(), bodies()), min_size=1, max_size=6)
ODD = st.one_of(st.just(b""), st.just(b""), odd_heads())
CUTS = st.lists(st.integers(0, 4000), max_size=4)


@dataclass(frozen=True, slots=True)
class Servers:
    """Ports: one that remembers all, one that remembers no blob, and one that is aiohttp alone."""

    hot: int
    cold: int
    plain: int


@pytest.fixture(scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    store = DirectoryStore(tmp_path_factory.mktemp("store"))
    files: Files = {
        "/index.html": compressed(HOME),
        "/docs/index.html": compressed(b"docs"),
        "/empty.png": b"",
    }
    routes = Routes(
        {
            SiteHost("a", None): await publish(store, files),
            SiteHost("a", "d2"): await publish(store, files, deployment="d2", preview=True),
        }
    )
    hot, plain = Sites(routes.fetch, store), Sites(routes.fetch, store)
    cold = Sites(routes.fetch, store, memory_bytes=0)
    # Each request of the cold one would else come after its lead has ended.
    for sites in (hot, cold):
        sites.routes.heard()
    first_statuses: list[int] = []

    def note(_peer: object, _head: bytes, answer: bytes, _size_bytes: int, _took_s: float) -> None:
        first_statuses.append(int(answer[9:12]))

    async with (
        serve(hot, lingering_time=1) as hot_port,
        serve(cold, lingering_time=1, note=note) as cold_port,
        serve(plain, hot=False, lingering_time=1) as plain_port,
    ):
        yield Servers(hot_port, cold_port, plain_port)
    # What is generated may end the connection early; some tens of each are usual.
    assert hot.counters.hot.total() > FEW
    assert first_statuses.count(200) > FEW


async def talk(port: int, pieces: Sequence[bytes]) -> bytes:
    """All that comes back until the server closes, less the dates."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(client, ("127.0.0.1", port))
        received = b""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                for piece in pieces:
                    await loop.sock_sendall(client, piece)
                    for _ in range(5):  # turns of the loop, in which the server reads it
                        await asyncio.sleep(0)
                while data := await loop.sock_recv(client, 1 << 20):
                    received += data
        except ConnectionError:
            pass  # the server closed with something unread: what is received is what there was
    return re.sub(rb"\r\nDate: [^\r]{29}\r\n", b"\r\nDate: -\r\n", received)


@settings(max_examples=EXAMPLES)
@given(requests=REQUESTS, odd=ODD, cuts=CUTS)
async def test_the_hot_path_changes_nothing_but_the_speed(
    servers: Servers, requests: list[bytes], odd: bytes, cuts: list[int]
) -> None:
    # aiohttp loses what it reads in the same turns as an upgrade, and what waits for a first answer comes so.
    requests = requests[:1] + [request for request in requests[1:] if b"pgrade" not in request]
    data = b"".join(requests)
    ends = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in itertools.pairwise(ends)]
    # Behind an upgrade aiohttp reads nothing before it is answered, and then all that came, at once.
    last = [odd, LAST] if odd and b"pgrade" not in data else [LAST]
    answers = [await talk(port, [*pieces, *last]) for port in (servers.hot, servers.cold, servers.plain)]
    assert answers[0] == answers[2]
    assert answers[1] == answers[2]
