"""``_redirects`` and ``_headers``, line by line: what is taken, and what is said of the rest."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.collect import collect
from builder.contract import Limits
from builder.site_rules import MAX_FILE_BYTES, MAX_REPORTS, SiteRules, read_site_rules
from builder.site_rules.headers import MAX_BLOCKS, parse_headers
from builder.site_rules.lines import MAX_LINE_CHARS
from builder.site_rules.redirects import MAX_REDIRECTS, parse_redirects

LIMITS = Limits(memory_bytes=1, processes=1, repo_bytes=1, files=99, file_bytes=1000, site_bytes=9000)


def redirect(line: str) -> dict[str, Any]:
    """The one rule of ``line``, without what it has in common with the plainest."""
    (rule,), reports = parse_redirects(line.encode())
    assert reports == []
    plain = {"query": {}, "status": 301, "force": False}
    return {name: value for name, value in rule.to_json().items() if plain.get(name) != value}


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("/a /b", {"from": "/a", "to": "/b"}),
        ("  /a\t \t/b  ", {"from": "/a", "to": "/b"}),
        ("/a /b # why", {"from": "/a", "to": "/b"}),
        ("/a /b#part", {"from": "/a", "to": "/b#part"}),
        ("/a /b #301!", {"from": "/a", "to": "/b"}),
        ("/a /b 301", {"from": "/a", "to": "/b"}),
        *(
            (f"/a /b {status}", {"from": "/a", "to": "/b", "status": status})
            for status in (302, 303, 307, 308)
        ),
        ("/a /b 301!", {"from": "/a", "to": "/b", "force": True}),
        ("/* /index.html 200", {"from": "/*", "to": "/index.html", "status": 200}),
        (
            "/shop/* /closed.html 404!",
            {"from": "/shop/*", "to": "/closed.html", "status": 404, "force": True},
        ),
        ("/a /b?x=1#y 200", {"from": "/a", "to": "/b", "status": 200}),
        ("/n/:year/:slug /b/:slug?y=:year", {"from": "/n/:year/:slug", "to": "/b/:slug?y=:year"}),
        ("/n/* https://example.com/:splat", {"from": "/n/*", "to": "https://example.com/:splat"}),
        ("/n* /m/:splat", {"from": "/n*", "to": "/m/:splat"}),
        ("/a HTTPS://example.com:8443", {"from": "/a", "to": "HTTPS://example.com:8443"}),
        ("/a http://[::1]/x", {"from": "/a", "to": "http://[::1]/x"}),
        ("/s id=:id p=2 /b/:id", {"from": "/s", "query": {"id": ":id", "p": "2"}, "to": "/b/:id"}),
        ("/s id= /b", {"from": "/s", "query": {"id": ""}, "to": "/b"}),
        ("/a /wiki/Help:Contents", {"from": "/a", "to": "/wiki/Help:Contents"}),
        ("/caf%C3%A9 /café", {"from": "/caf%C3%A9", "to": "/café"}),
    ],
)
def test_a_line_of_redirects_is_a_rule(line: str, rule: dict[str, Any]) -> None:
    assert redirect(line) == rule


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/a", "has no target"),
        ("/a # /b", "has no target"),
        ("/a 301", '"301" is no target'),
        ("/a b", '"b" is no target'),
        ("a /b", "is no path"),
        ("https://old.example/* /b", "names a host"),
        ("/a?x=1 /b", "more than a path"),
        ("/a/*/b /b", "* that is not at its end"),
        ("/a/** /b", "* that is not at its end"),
        ("/:a/:a /b", "one name twice"),
        ("/:splat/* /b", "one name twice"),
        ("/:a a=:a /b", "one name twice"),
        ("/:month:/x /b", "is no placeholder"),
        ("/a/../b /b", "no address can have"),
        ("/a%2e%2e/%2e /b", "no address can have"),
        ("/%ff /b", "not UTF-8 behind its escapes"),
        ("/a x /b", "neither a target nor a query condition"),
        ("/a x=1 x=2 /b", "is there twice"),
        ("/a /b 200 301", "neither a status nor a condition"),
        ("/a /b 301!!", "neither a status nor a condition"),
        ("/a /b 418", "the status 418 is none of 200, 301, 302, 303, 307, 308 and 404"),
        ("/a /b 302 Country=de", '"Country=de" is not evaluated here'),
        ("/a /b Language=en", "not evaluated"),
        ("/a /b 200 Role=admin,editor", "not evaluated"),
        ("/a /b 301 Cookie=x", "not evaluated"),
        ("/api/* https://api.example.com/:splat 200", "another host"),
        ("/api/* https://api.example.com/:splat 404", "another host"),
        ("/* https://:splat/x", "the host of"),
        ("/* https://example.com:splat", "the host of"),
        ("/* https://u@example.com/", "the host of"),
        ("/a http://", "the host of"),
        ("/a //evil.example", "two slashes"),
        ("/a /\\evil.example", "backslash"),
        ("/old/* /new/*", "is :splat in a target"),
        ("/a /b/:slug", "what :slug is"),
        ("/a /b?x=:slug", "what :slug is"),
        ("/:a /b/:splat", "what :splat is"),
        ("/a /../b 200", "no address can have"),
    ],
)
def test_a_bad_line_of_redirects_is_skipped_and_reported_with_its_number(line: str, why: str) -> None:
    rules, reports = parse_redirects(f"# a comment\n\n{line}\n/x /y\n".encode())
    assert [rule.source for rule in rules] == ["/x"]
    (report,) = reports
    assert report.startswith("_redirects, line 3: skipped, as ")
    assert why in report


@pytest.mark.parametrize("parse", [parse_redirects, parse_headers])
@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"/a /b\xff", "it is not UTF-8"),
        (b"/a /b\0", "control character"),
        (b"/a /b\r/c /d", "control character"),
        (b"/" + b"a" * MAX_LINE_CHARS, "2,001 characters, and the limit is 2,000"),
    ],
)
def test_bytes_that_are_no_line_are_reported(parse: Any, line: bytes, why: str) -> None:
    rules, (report,) = parse(line)
    assert rules == []
    assert "line 1: " in report
    assert why in report


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_rule() -> None:
    rules, reports = parse_redirects(b"\xef\xbb\xbf/a /b\r\n# \xff\r\n\r\n/c /d 302\r\n")
    assert [(rule.line, rule.source, rule.target, rule.status) for rule in rules] == [
        (1, "/a", "/b", 301),
        (4, "/c", "/d", 302),
    ]
    assert reports == []


def test_more_rules_than_the_limit_are_said_aloud() -> None:
    rules, reports = parse_redirects(b"".join(b"/%d /b\n" % number for number in range(MAX_REDIRECTS + 10)))
    assert len(rules) == MAX_REDIRECTS
    assert reports == [
        "_redirects, line 2,001: there are 2,000 rules above it, which is the limit. "
        "It and what follows are skipped."
    ]


def blocks(text: str) -> list[dict[str, Any]]:
    parsed, reports = parse_headers(text.encode())
    assert reports == []
    return [block.to_json() for block in parsed]


def test_a_block_of_headers_is_a_path_and_what_follows() -> None:
    text = """
# all of it
/*
  X-Frame-Options: DENY
  Link: </a.css>; rel=preload
  link: </b.css>; rel=preload
/static/:kind/*.js
\t! x-frame-options
\tCache-Control : max-age=60
"""
    assert blocks(text) == [
        {
            "path": "/*",
            "remove": [],
            "set": {"X-Frame-Options": "DENY", "Link": "</a.css>; rel=preload, </b.css>; rel=preload"},
        },
        {"path": "/static/:kind/*.js", "remove": ["x-frame-options"], "set": {"Cache-Control": "max-age=60"}},
    ]


def test_a_removal_takes_away_what_its_block_said_before_it() -> None:
    assert blocks("/a\n X: 1\n ! X\n! Y\n Y: 2") == [{"path": "/a", "remove": ["X", "Y"], "set": {"Y": "2"}}]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("X", "nor a header with a colon"),
        ("X Y: 1", "is no name of a header"),
        (": 1", "is no name of a header"),
        ("é: 1", "is no name of a header"),
        ("X:", "to take it away, write ! X"),
        ("X: é", "not ASCII"),
        ("X: a\x1bb", "control character"),
        ("!", "is no name of a header"),
        ("! Content-Type", "can be set, not removed"),
        ("! Vary", "can be set, not removed"),
        ("! ETag", "the server's own"),
        ("Set-Cookie: a=b", "same cookie"),
        ("Basic-Auth: ada:secret", "Basic-Auth is not done here"),
        ("X: " + "a" * 1990 + "\n" + "\n".join(f"X{n}: {'a' * 1990}" for n in range(4)), "8,000 characters"),
        *(
            (f"{name}: x", f"{name} is the server's own")
            for name in (
                "Connection",
                "content-length",
                "Content-Encoding",
                "Content-Range",
                "Transfer-Encoding",
                "Date",
                "Server",
                "ETag",
                "Last-Modified",
                "Accept-Ranges",
                "Keep-Alive",
                "TE",
                "Trailer",
                "Upgrade",
                "Proxy-Connection",
                "Location",
            )
        ),
    ],
)
def test_a_bad_line_of_headers_is_skipped_and_reported_with_its_number(line: str, why: str) -> None:
    parsed, reports = parse_headers(f"/a\n  {line}\n  Y: 1".encode())
    (block,) = parsed
    assert "Y" in block.to_json()["set"] or why == "8,000 characters"
    assert reports[0].startswith("_headers, line ")
    assert why in reports[0]


def test_headers_below_a_path_that_is_skipped_are_not_those_of_the_path_above() -> None:
    parsed, reports = parse_headers(b"X: 0\n/a\n X: 1\n/b/*/*\n X: 2\nhttps://a/*\n X: 2\n/c\n X: 3")
    assert [block.to_json()["path"] for block in parsed] == ["/a", "/c"]
    assert [block.to_json()["set"] for block in parsed] == [{"X": "1"}, {"X": "3"}]
    assert reports == [
        "_headers, line 1: skipped, as no path line is above it.",
        '_headers, line 4: skipped, as "/b/*/*" has more than one *.',
        "_headers, line 5: skipped, as the path line above it was skipped.",
        '_headers, line 6: skipped, as "https://a/*" names a host, and blocks are for paths of this site.',
        "_headers, line 7: skipped, as the path line above it was skipped.",
    ]


def test_more_blocks_than_the_limit_are_said_aloud() -> None:
    parsed, (report,) = parse_headers(b"".join(b"/%d\n X: 1\n" % number for number in range(MAX_BLOCKS + 5)))
    assert len(parsed) == MAX_BLOCKS
    assert report.startswith("_headers, line 201: there are 100 blocks above it")


@given(st.binary(max_size=200) | st.text("/a:*=# \t\n!34012https.\\%", max_size=60).map(str.encode))
def test_nothing_in_a_file_raises(content: bytes) -> None:
    for report in parse_redirects(content)[1] + parse_headers(content)[1]:
        assert "line" in report


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "index.html").touch()
    (tmp_path / "app.html").touch()
    return tmp_path


def read(output: Path) -> SiteRules:
    collected = collect(output, LIMITS, is_source=False)
    return read_site_rules(output, collected.rule_files, [found.path for found in collected.files])


def test_a_site_without_rules_says_nothing_of_them(output: Path) -> None:
    assert read(output) == SiteRules()


def test_the_log_ends_with_what_is_used(output: Path) -> None:
    (output / "_redirects").write_text("/a /b\n/c\n/d /e")
    (output / "_headers").write_text("/*\n X: 1")
    assert read(output).reports == (
        '_redirects, line 2: skipped, as "/c" has no target.',
        "2 redirects, 1 header block.",
    )


def test_a_rewrite_to_nothing_is_reported_and_kept(output: Path) -> None:
    (output / "_redirects").write_text(
        "/a /app 200\n/b /nothing 200\n/c/:x /:x 200\n/d /gone/ 404\n/e /f 301"
    )
    rules = read(output)
    assert len(rules.redirects) == 5
    assert rules.reports == (
        "_redirects, line 2: the site has no file for /nothing, so this rule does nothing.",
        "_redirects, line 4: the site has no file for /gone/, so this rule does nothing.",
        "5 redirects, 0 header blocks.",
    )


def test_thousands_of_mistakes_are_some_lines_of_the_log(output: Path) -> None:
    (output / "_redirects").write_text("nonsense\n" * 5000)
    reports = read(output).reports
    assert len(reports) == MAX_REPORTS + 2
    assert reports[-2] == "4,950 more lines of these files are reported nowhere."


def test_a_file_over_the_limit_is_not_read(output: Path) -> None:
    with (output / "_redirects").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    assert read(output).reports == (
        "_redirects has 4,194,305 bytes. The limit is 4,194,304, so none of it is used.",
        "0 redirects, 0 header blocks.",
    )
