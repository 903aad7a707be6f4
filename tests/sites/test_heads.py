"""Which heads are answered from prepared bytes, and what tells them apart."""

from collections.abc import Iterator
from dataclasses import fields

import pytest
from multidict import CIMultiDict

from scalemesh.sites.heads import MAX_HEAD_BYTES, key_of, read_head
from scalemesh.sites.request import ASKING, SiteRequest

BROWSER = (
    b"GET /docs/?a=%20b HTTP/1.1\r\nHost: a.localhost:9000\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\n"
    b"Accept: text/html,*/*;q=0.8\r\nAccept-Encoding:gzip, br \r\nConnection: Keep-Alive\r\n"
    b'If-None-Match: "abc"\r\nCookie: a=b\r\n\r\n'
)


def head(*lines: bytes, request: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([request, *lines, b"", b""])


def test_a_browsers_head_has_the_key_of_its_request() -> None:
    read = read_head(BROWSER)
    assert read is not None
    headers = CIMultiDict(
        {"host": "a.localhost:9000", "accept-encoding": "gzip, br", "if-none-match": '"abc"', "Cookie": "a=b"}
    )
    assert read[0] == key_of("GET", "/docs/?a=%20b", headers)
    assert key_of("GET", "/docs/?a=%20b", headers) != key_of("HEAD", "/docs/?a=%20b", headers)


@pytest.mark.parametrize("name", ASKING.values())
def test_each_header_that_may_change_an_answer_tells_requests_apart(name: str) -> None:
    plain = read_head(head(b"Host: a"))
    asking = read_head(head(b"Host: a", name.upper().encode() + b": x"))
    assert plain is not None
    assert asking is not None
    assert plain[0] != asking[0]
    assert asking[0] == key_of("GET", "/", CIMultiDict({"Host": "a", name: "x"}))


def test_a_sites_answer_depends_on_no_other_header() -> None:
    class Watched(CIMultiDict[str]):
        def _read(self, name: object) -> None:
            assert name in ASKING.values()

        def getall(self, key: str, *default: object) -> list[str]:
            self._read(key)
            return []

        def __getitem__(self, key: str) -> str:
            raise AssertionError(f"{key} is read past joined()")

        def get(self, key: str, default: object = None) -> str:
            raise AssertionError(f"{key} is read past joined()")

        def __iter__(self) -> Iterator[str]:
            raise AssertionError("all headers are read")

    request = SiteRequest.of("GET", "/a?b", Watched())
    assert {field.name for field in fields(request)} == {"method", "path", "query", *ASKING}


@pytest.mark.parametrize("line", [b"Cookie: a=b", b"Authorization: Basic x"])
def test_a_visitors_own_head_is_not_remembered(line: bytes) -> None:
    read = read_head(head(b"Host: a", line))
    assert read is not None
    assert not read[1]
    plain = read_head(head(b"Host: a"))
    assert plain is not None
    assert plain[1]


@pytest.mark.parametrize(
    "bytes_",
    [
        head(b"Host: a", request=b"POST / HTTP/1.1"),
        head(b"Host: a", request=b"get / HTTP/1.1"),
        head(b"Host: a", request=b"GET / HTTP/1.0"),
        head(b"Host: a", request=b"GET  / HTTP/1.1"),
        head(b"Host: a", request=b"GET /#x HTTP/1.1"),
        head(b"Host: a", request=b"GET /a b HTTP/1.1"),
        head(b"Host: a", request=b"GET http://a/ HTTP/1.1"),
        head(b"Host: a", request=b"GET * HTTP/1.1"),
        b"\r\n" + head(b"Host: a"),
        head(),
        head(b"Accept: x"),
        head(b"Host: a", b"Host: a"),
        head(b"Host: a", b"Accept-Encoding: br", b"accept-encoding: gzip"),
        head(b"Host: a", b"Connection: close"),
        head(b"Host: a", b"Connection: keep-alive, Upgrade"),
        head(b"Host: a", b"Proxy-Connection: close"),
        head(b"Host: a", b"Upgrade: websocket"),
        head(b"Host: a", b"Content-Length: 0"),
        head(b"Host: a", b"Transfer-Encoding: chunked"),
        head(b"Host: a", b"Expect: 100-continue"),
        head(b"Host: a", b"X: \xe9"),
        head(b"Host: a", b"X: \x00"),
        head(b"Host: a", b"X: a\rb"),
        head(b"Host: a", b"X: a\nY: b"),
        head(b"Host: a", b"X : a"),
        head(b"Host: a", b" folded"),
        head(b"Host: a", b"no colon"),
        head(b"Host: a", b": no name"),
        head(b"Host: a")[:-2],
        head(b"Host: a") + b"x",
        head(b"Host: a") + head(b"Host: a"),
        head(b"Host: a", b"X: " + b"x" * MAX_HEAD_BYTES),
        b"",
    ],
)
def test_whatever_is_unusual_is_left_to_aiohttp(bytes_: bytes) -> None:
    assert read_head(bytes_) is None
