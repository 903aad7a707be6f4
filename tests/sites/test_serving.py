"""Sites through a real server, a real store and a real connection."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scalemesh.artifacts import DirectoryStore
from scalemesh.sites import RouteUnavailable, SiteHost, Sites
from tests.sites.front import Answer, Routes, exchange, get, read_answer, serve
from tests.sites.site import LAST_MODIFIED, Files, compressed, etag, publish, sha256

LARGE = bytes(range(256)) * 4096 * 3  # 3 MiB: many chunks
FILES: Files = {
    "/index.html": compressed(b"<h1>home</h1>"),
    "/docs/index.html": b"docs",
    "/empty.png": b"",
    "/large.png": LARGE,
    "/%2e%2e/index.html": b"a directory with a strange name",
}


@pytest.fixture
async def routes(tmp_path: Path) -> Routes:
    route = await publish(DirectoryStore(tmp_path), FILES)
    preview = await publish(DirectoryStore(tmp_path), FILES, deployment="d2", preview=True)
    return Routes({SiteHost("a", None): route, SiteHost("a", "d2"): preview})


@pytest.fixture
async def port(tmp_path: Path, routes: Routes) -> AsyncIterator[int]:
    async with serve(Sites(routes.fetch, DirectoryStore(tmp_path))) as port:
        yield port


def assert_is_our_page(answer: Answer, status: int, words: str) -> None:
    assert answer.status == status
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert words in answer.body.decode()


async def test_a_site_is_served(port: int) -> None:
    answer = await get(port, "/")
    assert (answer.status, answer.body) == (200, b"<h1>home</h1>")
    assert {name: value for name, value in answer.headers.items() if name not in ("Date", "Server")} == {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Length": "13",
        "ETag": etag(b"<h1>home</h1>"),
        "Last-Modified": LAST_MODIFIED,
        "Cache-Control": "public, max-age=0, must-revalidate",
        "Vary": "Accept-Encoding",
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
    }


async def test_the_encoded_form_is_sent(port: int) -> None:
    answer = await get(port, "/", accept_encoding="gzip, br")
    assert (answer.headers["Content-Encoding"], answer.body) == ("br", b"br:<h1>home</h1>")


async def test_a_large_file_comes_whole_and_in_part(port: int) -> None:
    assert (await get(port, "/large.png")).body == LARGE
    part = await get(port, "/large.png", range="bytes=1000-2000999")
    assert (part.status, part.body) == (206, LARGE[1000:2001000])
    assert part.headers["Content-Range"] == f"bytes 1000-2000999/{len(LARGE)}"
    assert (await get(port, "/large.png", range=f"bytes={len(LARGE)}-")).status == 416
    ranges = ",".join(f"{n}-{n}" for n in range(1000))
    assert (await get(port, "/large.png", range=f"bytes={ranges}")).body == LARGE


async def test_an_empty_file_is_served(port: int) -> None:
    answer = await get(port, "/empty.png")
    assert (answer.status, answer.headers["Content-Length"], answer.headers["Content-Type"]) == (
        200,
        "0",
        "image/png",
    )


async def test_a_good_copy_is_a_304_without_a_body(port: int) -> None:
    answer = await get(port, "/", if_none_match=etag(b"<h1>home</h1>"))
    assert answer.status == 304
    assert not {"Content-Length", "Content-Type", "Transfer-Encoding"} & set(answer.headers)
    assert answer.headers["ETag"] == etag(b"<h1>home</h1>")


@pytest.mark.parametrize("path", ["/", "/large.png", "/empty.png", "/docs", "/nothing", "/..%2f"])
async def test_head_has_every_header_of_get(port: int, path: str) -> None:
    got, head = await get(port, path), await get(port, path, method="HEAD")
    assert head.status == got.status
    del got.headers["Date"], head.headers["Date"]
    assert head.headers == got.headers


async def test_a_connection_is_kept_through_all_kinds_of_answers(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for method, path, status in [
        ("GET", "/large.png", 200),
        ("HEAD", "/large.png", 200),
        ("GET", "/docs?x=1", 308),
        ("GET", "/nothing", 404),
        ("POST", "/", 405),
        ("GET", "/", 200),
    ]:
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: a.localhost\r\n\r\n".encode())
        answer = await read_answer(reader, head=method == "HEAD")
        assert answer.status == status
    writer.close()
    await writer.wait_closed()


async def test_a_redirect_keeps_the_query(port: int) -> None:
    answer = await get(port, "/docs?a=%2F&b")
    assert (answer.status, answer.headers["Location"]) == (308, "/docs/?a=%2F&b")


async def test_another_method_is_405(port: int) -> None:
    answer = await exchange(port, b"POST / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 2\r\n\r\n{}")
    assert_is_our_page(answer, 405, "can only be read")
    assert answer.headers["Allow"] == "GET, HEAD"


async def test_a_preview_is_not_for_search_engines(port: int) -> None:
    assert (await get(port, "/", host="d2--a.localhost")).headers["X-Robots-Tag"] == "noindex"
    assert "X-Robots-Tag" not in (await get(port, "/")).headers


@pytest.mark.parametrize("host", ["b.localhost", "d9--a.localhost"])
async def test_where_nothing_is_live_a_page_says_so(port: int, host: str) -> None:
    assert_is_our_page(await get(port, "/", host=host), 404, "No site lives here yet")


@pytest.mark.parametrize("host", ["localhost.evil", "a.b.localhost"])
async def test_a_host_that_is_not_ours_is_told_so(port: int, host: str) -> None:
    assert_is_our_page(await get(port, "/", host=host), 404, "Nothing is served at this host")


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.0\r\n",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n",
        b"GET / HTTP/1.1\r\nHost: a.localhost\r\nHost: b.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: a.localhost, b.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: u@a.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: a.localhost:99999\r\n",
        b"GET / HTTP/1.1\r\nHost: " + b"a" * 300 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a.localhost\0\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff.localhost\r\n",
        b"GET http://other/ HTTP/1.1\r\nHost: a.localhost\r\n",
        b"GET http://a.localhost:99999/ HTTP/1.1\r\nHost: a.localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"GET / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        b"GET / HTTP/1.1\r\nHost: a.localhost\r\nTransfer-Encoding: chunked, identity\r\n",
        b"GET / HTTP/1.1\nHost: a.localhost\r\n",
        b"GET /a\0 HTTP/1.1\r\nHost: a.localhost\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a.localhost\r\n",
    ],
)
async def test_a_malformed_request_is_400(port: int, head: bytes) -> None:
    assert (await exchange(port, head + b"\r\n")).status == 400


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 1\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"X: a\nY: b\r\n",
    ],
)
async def test_after_a_request_whose_end_is_in_doubt_the_connection_is_closed(
    port: int, lines: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = b"GET / HTTP/1.1\r\nHost: a.localhost\r\n"
    writer.write(request + lines + b"\r\n" + request + b"\r\n")
    async with asyncio.timeout(60):
        answer = await reader.read()
    assert answer.split(b" ", 2)[1] == b"400"
    assert b"HTTP/1.1 200" not in answer
    writer.close()


async def test_an_absolute_target_that_agrees_is_served(port: int) -> None:
    answer = await exchange(port, b"GET http://a.localhost/docs/?x HTTP/1.1\r\nHost: a.localhost\r\n\r\n")
    assert (answer.status, answer.body) == (200, b"docs")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/../../x", 400),
        ("/..%2f..%2fother/i.html", 400),
        ("/%2e%2e/", 400),
        ("/%252e%252e/", 200),
        ("/a%5c..%5cb", 400),
        ("/a%00", 400),
        ("/%ff", 400),
        ("/%c0%ae/", 400),
        ("//evil.example/%2e%2e", 400),
        ("//evil.example/", 404),
        ("/__output/p1/d1/manifest.json", 404),
        ("/__output/other/d1/manifest.json", 404),
        (f"/__output/p1/blobs/{sha256(b'docs')}", 404),
        ("/?list-type=2", 200),
        ("/?X-Amz-Signature=a&X-Amz-Credential=b", 200),
        ("/?%00%0d%0aX:y", 200),
    ],
)
async def test_no_path_reaches_beyond_the_site(port: int, path: str, status: int) -> None:
    answer = await get(port, path)
    assert answer.status == status
    assert b"sha256" not in answer.body
    assert b"Amz" not in answer.body


async def test_a_database_that_is_away_is_503_until_it_is_back(port: int, routes: Routes) -> None:
    routes.error = RouteUnavailable("connection refused")
    answer = await get(port, "/")
    assert_is_our_page(answer, 503, "just now")
    assert answer.headers["Retry-After"] == "2"
    assert b"refused" not in answer.body
    routes.error = None
    assert (await get(port, "/")).status == 200


async def test_a_blob_that_is_gone_is_503_and_an_error_in_the_log(
    port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "__output/p1/blobs" / sha256(b"docs")).unlink()
    with caplog.at_level(logging.ERROR):
        assert_is_our_page(await get(port, "/docs/"), 503, "just now")
    assert "damaged" in caplog.text
    assert (await get(port, "/")).status == 200


@pytest.mark.parametrize("path", ["/docs/", "/large.png"])
@pytest.mark.parametrize("left", [0, 3])
async def test_a_blob_that_is_too_short_is_never_a_200(
    port: int, tmp_path: Path, path: str, left: int
) -> None:
    blob = tmp_path / "__output/p1/blobs" / sha256(b"docs" if path == "/docs/" else LARGE)
    blob.write_bytes(blob.read_bytes()[:left])
    assert_is_our_page(await get(port, path), 503, "just now")


@pytest.mark.parametrize("data", [None, b"", b"{}"], ids=["gone", "empty", "nonsense"])
async def test_a_manifest_that_is_damaged_is_503_and_an_error_in_the_log(
    port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes | None
) -> None:
    path = tmp_path / "__output/p1/d1/manifest.json"
    path.unlink() if data is None else path.write_bytes(data)
    with caplog.at_level(logging.ERROR):
        assert_is_our_page(await get(port, "/"), 503, "just now")
    assert "damaged" in caplog.text


async def test_a_store_that_is_away_is_503_until_it_is_back(
    port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blobs = tmp_path / "__output/p1/blobs"
    assert (await get(port, "/")).status == 200
    moved = blobs.rename(tmp_path / "away")
    blobs.symlink_to(blobs)  # every open now fails, and not as for a missing file
    with caplog.at_level(logging.WARNING):
        assert_is_our_page(await get(port, "/docs/"), 503, "just now")
    assert "unavailable" in caplog.text
    assert (await get(port, "/")).status == 200
    blobs.unlink()
    moved.rename(blobs)
    assert (await get(port, "/docs/")).status == 200


async def test_a_site_stays_up_while_its_manifest_is_in_memory(port: int, tmp_path: Path) -> None:
    assert (await get(port, "/")).status == 200
    (tmp_path / "__output/p1/d1/manifest.json").unlink()
    assert (await get(port, "/docs/")).status == 200
