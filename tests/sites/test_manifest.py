import json
from typing import Any

import pytest

from scalemesh.sites.header_rules import HeaderBlock
from scalemesh.sites.manifest import Encoded, FileEntry, ManifestDamaged, parse_manifest
from scalemesh.sites.redirects import Redirect
from tests.sites.site import CREATED_AT, File, manifest, manifest_json, sha256


def damaged(change: dict[str, Any]) -> bytes:
    return json.dumps({**manifest_json({"/index.html": b"x"}), **change}).encode()


def damaged_file(change: dict[str, Any]) -> bytes:
    files = manifest_json({"/index.html": b"x"})["files"]
    return damaged({"files": {"/index.html": {**files["/index.html"], **change}}})


def test_a_manifest_is_read_whole() -> None:
    parsed = manifest({"/app.js": File(b"plain", True, {"br": b"small"})}, spa=True)
    assert parsed.created_at == CREATED_AT
    assert parsed.spa
    assert not parsed.has_not_found_page
    assert parsed.files == {
        "/app.js": FileEntry(
            sha256(b"plain"),
            5,
            "text/javascript; charset=utf-8",
            fingerprinted=True,
            encodings={"br": Encoded(sha256(b"small"), 5)},
        )
    }


def test_what_it_says_beyond_that_is_ignored() -> None:
    assert parse_manifest(damaged({"notFound": None, "later": {"x": 1}})) == manifest({"/index.html": b"x"})


def test_a_file_whose_name_no_request_can_say_is_no_damage() -> None:
    assert len(manifest({"/index.html": b"x", "/a\\b\n.html": b"y"}).files) == 2


def test_a_404_page_anywhere_is_seen() -> None:
    assert manifest({"/docs/404.html": b"x"}).has_not_found_page
    assert not manifest({"/docs/x404.html": b"x"}).has_not_found_page


def test_rule_files_are_no_files_of_the_site() -> None:
    parsed = manifest({"/_redirects": b"x", "/_headers": b"x", "/docs/_redirects": b"x"})
    assert list(parsed.files) == ["/docs/_redirects"]


def test_an_older_manifest_has_no_rules() -> None:
    content = manifest_json({"/index.html": b"x"})
    del content["redirects"], content["headers"]
    assert parse_manifest(json.dumps(content).encode()) == manifest({"/index.html": b"x"})


def redirect(**change: Any) -> bytes:
    rule = {"from": "/a", "query": {}, "to": "/b", "status": 301, "force": False}
    return damaged({"redirects": [{**rule, **change}]})


def block(**change: Any) -> bytes:
    return damaged({"headers": [{"path": "/*", "remove": [], "set": {"X": "1"}, **change}]})


def test_rules_are_read_in_order() -> None:
    parsed = manifest({"/i": b"x"}, redirects=["/a /b", "/c q=:q /d 200!", "/e /f 404"], headers="/*\n! X")
    assert parsed.redirects.rules == (Redirect("/a", "/b"), Redirect("/e", "/f", status=404))
    assert parsed.forced_redirects.rules == (Redirect("/c", "/d", {"q": ":q"}, 200, forced=True),)
    assert parsed.headers.blocks == (HeaderBlock("/*", ["X"]),)


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"", "document"),
        (b"[]", "document"),
        (b"[" * 100_000, "document"),
        (b'{"version": NaN}', "version"),
        (b"\xff", "document"),
        (damaged({"version": 2}), "version"),
        (damaged({"createdAt": "yesterday"}), "createdAt"),
        (damaged({"createdAt": "2026-01-01T00:00:00"}), "createdAt"),
        (damaged({"files": []}), "files"),
        (damaged({"files": {"index.html": {}}}), "files"),
        (damaged({"files": {"//evil/index.html": {}}}), "files"),
        (damaged({"files": {"/a/": {}}}), "files"),
        (damaged_file({"sha256": "../../other"}), "sha256"),
        (damaged_file({"sha256": "a" * 64 + "\n"}), "sha256"),
        (damaged_file({"bytes": -1}), "bytes"),
        (damaged_file({"type": "text/html\r\nSet-Cookie: a=b"}), "type"),
        (redirect(**{"from": "a"}), "redirects"),
        (redirect(**{"from": "/a\n"}), "redirects"),
        (redirect(**{"from": "/" + "a" * 2000}), "redirects"),
        (redirect(to="b"), "redirects"),
        (redirect(to="//evil.example"), "redirects"),
        (redirect(to="/\\evil.example"), "redirects"),
        (redirect(to="/b c"), "redirects"),
        (redirect(to="/b\r\nSet-Cookie:a=b"), "redirects"),
        (redirect(to="https://:splat/"), "redirects"),
        (redirect(to="https://example.com:splat/"), "redirects"),
        (redirect(to="https://example.com@evil.example/"), "redirects"),
        (redirect(to="javascript:alert(1)"), "redirects"),
        (redirect(status=418), "redirects"),
        (redirect(force="perhaps"), "redirects"),
        (damaged({"redirects": [{"from": "/a", "to": "/b"}] * 2001}), "redirects"),
        (block(path="*"), "headers"),
        (block(set={"X": "a\r\nY: b"}), "headers"),
        (block(set={"X": "é"}), "headers"),
        (block(set={"X": ""}), "headers"),
        (block(set={"X Y": "1"}), "headers"),
        (block(remove=["X:"]), "headers"),
        (damaged({"headers": [{"path": "/*"}] * 101}), "headers"),
        (damaged_file({"encodings": {"br": {"sha256": "x", "bytes": 1}}}), "encodings"),
    ],
)
def test_a_damaged_manifest_says_where(data: bytes, where: str) -> None:
    with pytest.raises(ManifestDamaged, match=where):
        parse_manifest(data)
