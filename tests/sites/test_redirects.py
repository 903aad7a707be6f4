"""``_redirects`` at work: which rule is for a request, and what it answers."""

import json
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemesh.sites.manifest import Manifest, parse_manifest
from scalemesh.sites.plan import Blob, Plan, plan_response
from scalemesh.sites.redirects import Redirect, Redirects
from scalemesh.sites.request import SiteRequest
from tests.sites.site import LAST_MODIFIED, compressed, etag, manifest, manifest_json, pages, sha256

FILES = ("/index.html", "/page.html", "/dir/index.html", "/both.html", "/both/index.html", "/app-3f2a.js")


def get(site: Manifest, target: str, **headers: str) -> Plan:
    path, _, query = target.partition("?")
    return plan_response(site, SiteRequest("GET", path, query, **headers))


def outcome(site: Manifest, target: str) -> tuple[int, str | None]:
    """Status, and the path of the file that is shown, or the location."""
    plan = get(site, target)
    if isinstance(plan.body, Blob):
        digest = plan.body.sha256
        return plan.status, next(path for path in site.files if sha256(path.encode()) == digest)
    return plan.status, plan.headers.get("Location")


@pytest.mark.parametrize(
    ("rule", "target", "expected"),
    [
        # The status is 301 where none is given, and each of the others is itself.
        ("/a /b", "/a", (301, "/b")),
        *((f"/a /b {status}", "/a", (status, "/b")) for status in (301, 302, 303, 307, 308)),
        ("/a /b", "/other", (404, None)),
        ("/a /b", "/A", (404, None)),
        ("/a /b", "/a/b", (404, None)),
        # A final slash makes no difference, on either side.
        ("/a /b", "/a/", (301, "/b")),
        ("/a/ /b", "/a", (301, "/b")),
        ("/ /b", "/", (200, "/index.html")),
        # `:name` is one segment.
        ("/n/:y/:s /b/:s/:y", "/n/2024/hi", (301, "/b/hi/2024")),
        ("/n/:y /b/:y", "/n/", (404, None)),
        ("/n/:y /b/:y", "/n/1/2", (404, None)),
        ("/n/:y/x /b/:y", "/n//x", (404, None)),
        ("/n/:a/end /b?a=:a&b=1#:a", "/n/x%26y%3D/end", (301, "/b?a=x%26y%3D&b=1#x&y=")),
        # `*` at the end is `:splat`, which may be empty.
        ("/n/* /b/:splat", "/n/1/2", (301, "/b/1/2")),
        ("/n/* /b/:splat", "/n/1/2/", (301, "/b/1/2/")),
        ("/n/* /b/:splat", "/n/", (301, "/b/")),
        ("/n/* /b/:splat", "/n", (301, "/b/")),
        ("/n/* /b/:splat", "/nn/1", (404, None)),
        ("/n* /b/:splat", "/news/1", (301, "/b/ews/1")),
        ("/n/:x/* /b/:splat/:x", "/n/1/2/3", (301, "/b/2/3/1")),
        ("/* https://example.com/:splat", "/x/y", (301, "https://example.com/x/y")),
        # What was written or asked with escapes is the same path, and is escaped again where it must be.
        ("/caf%C3%A9 /thé", "/caf%c3%a9", (301, "/th%C3%A9")),
        ("/café /b", "/caf%C3%A9", (301, "/b")),
        ("/n/* /b/:splat", "/n/a%20b/%3Fc%23d", (301, "/b/a%20b/%3Fc%23d")),
        ("/a /b%2Fc", "/a", (301, "/b%2Fc")),
        ("/a /wiki/Help:Contents", "/a", (301, "/wiki/Help:Contents")),
        # The request's query is carried over unless the target has one.
        ("/a /b", "/a?x=%2F&y", (301, "/b?x=%2F&y")),
        ("/a /b#part", "/a?x=1", (301, "/b?x=1#part")),
        ("/a /b?z=1", "/a?x=1", (301, "/b?z=1")),
        ("/a https://example.com", "/a?x=1", (301, "https://example.com?x=1")),
        # A query condition: its parameter has to be there, with its value if it says one.
        ("/s id=:id /b/:id", "/s?id=7&x=1", (301, "/b/7?id=7&x=1")),
        ("/s id=:id /b/:id", "/s", (404, None)),
        ("/s id=:id /b/:id", "/s?ID=7", (404, None)),
        ("/s id=:id /b/:id?", "/s?id=../%2Fx%3F", (301, "/b/..%2F%2Fx%3F?")),
        ("/s id=:id tag=x /b/:id?", "/s?tag=x&id=7", (301, "/b/7?")),
        ("/s id=:id tag=x /b/:id?", "/s?tag=y&id=7", (404, None)),
        ("/s id= /b?", "/s?id", (301, "/b?")),
        ("/s id=:id /b/:id?", "/s?id=1&id=2", (301, "/b/1?")),
        # 200 shows a file of the site, a clean URL too; nothing there, and the path goes on.
        ("/a /page.html 200", "/a", (200, "/page.html")),
        ("/a /page 200", "/a", (200, "/page.html")),
        ("/a /page/ 200", "/a", (200, "/page.html")),
        ("/a /dir 200", "/a", (200, "/dir/index.html")),
        ("/a /dir/ 200", "/a", (200, "/dir/index.html")),
        ("/a /page?x=1 200", "/a?y=2", (200, "/page.html")),
        ("/:x/show /:x 200", "/both/show", (200, "/both.html")),
        ("/a /nothing 200", "/a", (404, None)),
        ("/* /index.html 200", "/users/7", (200, "/index.html")),
        # 404 shows that page with 404.
        ("/a /page 404", "/a", (404, "/page.html")),
        ("/a /nothing 404", "/a", (404, None)),
        # A file that exists wins over a rule without `!`, a clean URL too.
        ("/page.html /b", "/page.html", (200, "/page.html")),
        ("/page /b", "/page", (200, "/page.html")),
        ("/page /b", "/page/", (308, "/page")),
        ("/* /b", "/", (200, "/index.html")),
        ("/page.html /b 301!", "/page.html", (301, "/b")),
        ("/page /b 301!", "/page", (301, "/b")),
        ("/page /dir 200!", "/page", (200, "/dir/index.html")),
        ("/page /dir 404!", "/page", (404, "/dir/index.html")),
        ("/page /nothing 200!", "/page", (200, "/page.html")),
        # One that leads back to where the request is, is for none.
        ("/a /a", "/a", (404, None)),
        ("/a /a/", "/a", (404, None)),
        ("/* /:splat 301!", "/page", (200, "/page.html")),
        ("/* /:splat?v=1 301!", "/page", (301, "/page?v=1")),
        ("/* /:splat?v=1 301!", "/page?v=1", (200, "/page.html")),
    ],
)
def test_a_rule_answers(rule: str, target: str, expected: tuple[int, str | None]) -> None:
    assert outcome(pages(*FILES, redirects=[rule]), target) == expected


def test_the_first_rule_that_is_for_a_request_wins() -> None:
    site = pages(
        *FILES,
        redirects=["/n/:x /1", "/n/* /2", "/n/y /3", "/s id=1 /4?", "/s /5", "/s id=2 /6", "/* /7", "/z /8"],
    )
    expected = {"/n/y": "/1", "/n/y/z": "/2", "/s?id=1": "/4?", "/s?id=2": "/5?id=2", "/z": "/7"}
    assert {target: outcome(site, target)[1] for target in expected} == expected


def test_forced_rules_come_before_files_and_the_others() -> None:
    site = pages(*FILES, redirects=["/page /1", "/* /index.html 200", "/page /2 302!", "/page /3 302!"])
    assert outcome(site, "/page") == (302, "/2")


def test_rules_never_chain() -> None:
    site = pages(*FILES, redirects=["/a /b 200", "/b /page 200", "/c /b 404", "/d /b"])
    assert outcome(site, "/a") == (404, None)
    assert outcome(site, "/b") == (200, "/page.html")
    assert outcome(site, "/c") == (404, None)
    assert outcome(site, "/d") == (301, "/b")


def test_a_rule_comes_before_404_pages_and_single_page_apps() -> None:
    assert outcome(pages("/404.html", "/p.html", redirects=["/a /p 200"]), "/a") == (200, "/p.html")
    assert outcome(pages("/index.html", "/p.html", redirects=["/a /p 404"], spa=True), "/a") == (
        404,
        "/p.html",
    )


def test_a_redirect_has_no_body_and_is_asked_about_again() -> None:
    assert get(pages(*FILES, redirects=["/a /b"]), "/a") == Plan(
        301,
        {
            "Location": "/b",
            "Content-Length": "0",
            "Cache-Control": "public, max-age=0, must-revalidate",
            "X-Content-Type-Options": "nosniff",
        },
        b"",
    )


SITE = manifest(
    {"/app.html": compressed(b"the app"), "/assets/app-3f2a.js": compressed(b"code", fingerprinted=True)},
    redirects=["/a /app 200", "/gone/* /app 404", "/latest.js /assets/app-3f2a.js 200"],
)


def test_a_rewrite_has_validators_encodings_and_ranges() -> None:
    assert get(SITE, "/a").headers["ETag"] == etag(b"the app")
    assert get(SITE, "/a", accept_encoding="br").body == Blob(sha256(b"br:the app"), 0, 10)
    assert get(SITE, "/a", if_none_match=etag(b"the app")).status == 304
    assert get(SITE, "/a", range="bytes=4-6").body == Blob(sha256(b"the app"), 4, 3)
    assert get(SITE, "/a", range="bytes=99-").status == 416


def test_a_404_rule_has_neither_validators_nor_ranges() -> None:
    plan = get(SITE, "/gone/x", if_none_match="*", if_modified_since=LAST_MODIFIED, range="bytes=0-1")
    assert (plan.status, plan.body) == (404, Blob(sha256(b"the app"), 0, 7))
    assert not {"ETag", "Last-Modified", "Accept-Ranges"} & set(plan.headers)


def test_a_fingerprinted_file_under_another_path_is_not_kept_for_ever() -> None:
    assert "immutable" in get(SITE, "/assets/app-3f2a.js").headers["Cache-Control"]
    assert get(SITE, "/latest.js").headers["Cache-Control"] == "public, max-age=0, must-revalidate"


@pytest.mark.parametrize(
    ("rule", "path", "asset"),
    [
        ("/a /b", "/x.js", "/x.js"),
        ("/a /b", "/x", None),
        ("/* /index.html 200", "/x.js", "/x.js"),
        ("/* /page 404", "/assets/x", "/assets/x"),
        ("/* /index.html 200", "/x", None),
        ("/* /page 200!", "/x.js", None),
        ("/x.js /page 200", "/x.js", None),
        ("/x.js /page 404", "/x.js", None),
        ("/* /b", "/x.js", None),
    ],
)
def test_a_rule_for_everything_leaves_missing_assets_to_earlier_deployments_first(
    rule: str, path: str, asset: str | None
) -> None:
    assert get(pages(*FILES, redirects=[rule]), path).missing_asset == asset


EVIL = st.text("/\\.:@evil%?#*é \t", max_size=12)


@given(
    rule=st.sampled_from(["/* /:splat", "/n/* /:splat", "/* /:splat/x", "/n* /:splat", "/:a/* /:a:splat"])
    | st.sampled_from(["/n/:a /:a", "/s id=:a /:a", "/s id=:a /:a?", "/n/* https://example.com/:splat"]),
    prefix=st.sampled_from(["/", "//", "/n/", "/n//", "/n", "/s"]),
    evil=EVIL,
    query=EVIL | st.text(),
)
def test_no_rule_leaves_for_a_host_that_the_request_named(
    rule: str, prefix: str, evil: str, query: str
) -> None:
    path = prefix + "".join(f"%{byte:02x}" for byte in evil.encode())
    plan = get(pages("/404.html", redirects=[f"{rule} 301!"]), f"{path}?id={query}")
    if plan.status == 301:
        location = plan.headers["Location"]
        assert location.isascii()
        assert location.isprintable()
        assert " " not in location
        assert "\\" not in location.partition("?")[0]
        assert not location.startswith("//")
        assert urlsplit(location).netloc in ("", "example.com")


@pytest.mark.parametrize("query", ["id=\udcff", "id=%ff", "id=\0", "id=" + "&id=" * 2000])
def test_a_query_may_hold_anything(query: str) -> None:
    site = pages("/404.html", redirects=["/s id=:id /b/:id"])
    assert plan_response(site, SiteRequest("GET", "/s", query)).headers["Location"].isascii()


SEGMENT = st.sampled_from(["a", "b", ":x", ":y"])
SOURCES = st.builds(
    lambda segments, end: "/" + "/".join(segments) + end,
    st.lists(SEGMENT, min_size=1, max_size=3, unique=True),
    st.sampled_from(["", "/*", "*"]),
).filter(lambda path: not path.endswith(("x*", "y*")))


def is_for(source: str, path: str) -> bool:
    """The same question asked of one rule, the long way."""
    wanted = source.removesuffix("*").rstrip("/").split("/")[1:]
    there = [] if path == "/" else path.split("/")[1:]
    if source.endswith("*") and not source.endswith("/*"):
        last = wanted.pop()
        if len(there) <= len(wanted) or not there[len(wanted)].startswith(last):
            return False
    if len(there) < len(wanted) or (not source.endswith("*") and len(there) > len(wanted)):
        return False
    return all(a == b or (a.startswith(":") and b) for a, b in zip(wanted, there, strict=False))


@given(
    st.lists(SOURCES, max_size=8),
    st.lists(st.sampled_from(["a", "b", "ab", ""]), min_size=1, max_size=4).map(lambda s: "/" + "/".join(s)),
)
def test_the_index_finds_the_rule_that_a_walk_from_the_top_would(sources: list[str], path: str) -> None:
    rules = Redirects(tuple(Redirect(source, "/elsewhere") for source in sources))
    match = rules.first(path, "")
    bare = path[:-1] if path.endswith("/") else path
    wanted = next((source for source in sources if is_for(source, bare or "/")), None)
    assert (match.rule.source if match else None) == wanted


def test_a_proxy_rule_that_a_manifest_has_all_the_same_is_passed_over() -> None:
    content = manifest_json({"/index.html": b"x"})
    content["redirects"] = [
        {"from": "/a", "query": {}, "to": "https://example.com/x", "status": 200, "force": True}
    ]
    assert get(parse_manifest(json.dumps(content).encode()), "/a").status == 404
