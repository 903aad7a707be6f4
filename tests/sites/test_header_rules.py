"""``_headers`` at work: what a site may say about its answers, and what it can't break."""

import json
from collections.abc import Mapping

import pytest

from scalemesh.sites.header_rules import SERVERS_OWN
from scalemesh.sites.manifest import parse_manifest
from scalemesh.sites.plan import plan_response
from scalemesh.sites.request import SiteRequest
from tests.sites.site import Files, compressed, etag, manifest, manifest_json

FILES: Files = {
    "/index.html": compressed(b"home"),
    "/a/b.js": b"code",
    "/dir/index.html": b"dir",
    "/404.html": b"nothing",
}
REVALIDATE = "public, max-age=0, must-revalidate"


def get(
    rules: str, path: str, *, method: str = "GET", preview: bool = False, **asked: str
) -> Mapping[str, str]:
    site = manifest(FILES, headers=rules, redirects=["/old /new", "/app /dir 200"])
    return plan_response(site, SiteRequest(method, path, **asked), preview=preview).headers


@pytest.mark.parametrize(
    ("block", "path", "applies"),
    [
        ("/*", "/", True),
        ("/*", "/a/b.js", True),
        ("/", "/", True),
        ("/", "/a/b.js", False),
        ("/a/b.js", "/a/b.js", True),
        ("/A/b.js", "/a/b.js", False),
        ("/a/*", "/a/b.js", True),
        ("/a/*", "/a", True),
        ("/a/*", "/ab", False),
        ("/*.js", "/a/b.js", True),
        ("/*.js", "/a/bjs", False),
        ("/a/*.js", "/a/b.js", True),
        ("/:dir/b.js", "/a/b.js", True),
        ("/:file", "/a/b.js", False),
        ("/:dir/*", "/a/b.js", True),
        ("/a/b", "/a/b/", True),
        ("/a/b/", "/a/b", True),
        ("/%61/b.js", "/a/b.js", True),
        ("/a.b.js", "/a/b.js", False),
        ("/app", "/app", True),
        ("/dir/index.html", "/app", False),
    ],
)
def test_a_block_is_for_the_paths_of_requests(block: str, path: str, applies: bool) -> None:
    assert ("X-Test" in get(f"{block}\n X-Test: 1", path)) is applies


def test_every_block_that_is_for_a_path_applies_and_a_later_one_wins() -> None:
    rules = "/*\n X-One: 1\n X-Two: 1\n/a/*\n x-two: 2\n X-Three: 3\n/b\n X-Four: 4"
    headers = get(rules, "/a/b.js")
    assert {name: value for name, value in headers.items() if name.lower() in ("x-one", "x-two")} == {
        "X-One": "1",
        "x-two": "2",
    }
    assert headers["X-Three"] == "3"
    assert "X-Four" not in headers


def test_equal_names_in_one_block_join() -> None:
    assert get("/*\n Link: <a>\n link: <b>", "/")["Link"] == "<a>, <b>"


def test_a_removal_takes_away_ours_and_an_earlier_blocks_header() -> None:
    headers = get("/*\n X-One: 1\n! X-Content-Type-Options\n/a/*\n! x-one\n! Cache-Control", "/a/b.js")
    assert not {"X-One", "X-Content-Type-Options", "Cache-Control"} & set(headers)


def test_a_site_decides_how_its_files_are_kept_and_typed() -> None:
    rules = (
        "/a/*\n cache-control: max-age=60\n Content-Type: text/plain\n Content-Security-Policy: default-src *"
    )
    headers = get(rules, "/a/b.js")
    assert headers["cache-control"] == "max-age=60"
    assert headers["Content-Type"] == "text/plain"
    assert headers["Content-Security-Policy"] == "default-src *"
    assert "Cache-Control" not in headers


def test_a_304_has_the_caching_headers_of_the_200_and_no_type() -> None:
    rules = "/*\n Cache-Control: max-age=60\n Content-Type: text/plain\n X-One: 1"
    assert get(rules, "/", if_none_match=etag(b"home")) == {
        "ETag": etag(b"home"),
        "Last-Modified": get("", "/")["Last-Modified"],
        "Cache-Control": "max-age=60",
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept-Encoding",
        "X-One": "1",
    }


def test_a_206_has_them_too() -> None:
    headers = get("/*\n Cache-Control: max-age=60", "/", range="bytes=0-1")
    assert (headers["Cache-Control"], headers["Content-Range"]) == ("max-age=60", "bytes 0-1/4")


@pytest.mark.parametrize(
    ("path", "asked_range"), [("/gone.js", ""), ("/old", ""), ("/dir", ""), ("/", "bytes=9-")]
)
def test_what_is_no_file_has_the_sites_headers_but_is_neither_kept_nor_retyped(
    path: str, asked_range: str
) -> None:
    rules = (
        "/*\n Cache-Control: max-age=60\n Expires: never\n Content-Type: text/plain\n X-Frame-Options: DENY"
    )
    headers = get(rules, path, range=asked_range)
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == REVALIDATE
    assert "Expires" not in headers
    assert headers.get("Content-Type") != "text/plain"
    assert get("/*\n! Cache-Control", path, range=asked_range)["Cache-Control"] == REVALIDATE


def test_vary_is_added_to() -> None:
    rules = "/*\n Vary: Origin, accept-encoding"
    assert get(rules, "/")["Vary"] == "accept-encoding, Origin"
    assert get("/*\n Vary: Origin", "/a/b.js")["Vary"] == "Origin"


def test_a_preview_is_never_for_search_engines() -> None:
    for rule in ("X-Robots-Tag: all", "x-robots-tag: all"):
        headers = get(f"/*\n {rule}", "/", preview=True)
        assert [value for name, value in headers.items() if name.lower() == "x-robots-tag"] == ["noindex"]
    assert get("/*\n! X-Robots-Tag", "/", preview=True)["X-Robots-Tag"] == "noindex"
    assert get("/*\n X-Robots-Tag: none", "/")["X-Robots-Tag"] == "none"


@pytest.mark.parametrize(("method", "path"), [("POST", "/"), ("GET", "/%ff")])
def test_an_answer_that_is_for_no_path_is_ours_alone(method: str, path: str) -> None:
    assert "X-One" not in get("/*\n X-One: 1", path, method=method)


@pytest.mark.parametrize(
    "asked", [{}, {"accept_encoding": "br"}, {"range": "bytes=0-1"}, {"if_none_match": "*"}]
)
def test_a_manifest_can_not_touch_what_is_the_servers_own(asked: dict[str, str]) -> None:
    content = manifest_json(FILES)
    request = SiteRequest("GET", "/", **asked)
    without = plan_response(parse_manifest(json.dumps(content).encode()), request)
    names = [name.title() for name in SERVERS_OWN]
    content["headers"] = [
        {"path": "/*", "remove": [*names, "Vary", "Content-Type"], "set": dict.fromkeys(names, "x")}
    ]
    assert plan_response(parse_manifest(json.dumps(content).encode()), request) == without
