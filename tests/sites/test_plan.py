"""The headers, by themselves and together, and what no request can bring about."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemesh.sites.plan import Blob, Plan, plan_response
from scalemesh.sites.request import SiteRequest
from tests.sites.site import LAST_MODIFIED, File, compressed, etag, manifest, sha256

PAGE = b"<h1>Hello</h1>"
SCRIPT = b"console.log('a script of thirty-three bytes')"
REVALIDATE = "public, max-age=0, must-revalidate"
FOR_EVER = "public, max-age=31536000, immutable"

SITE = manifest(
    {
        "/index.html": compressed(PAGE),
        "/assets/app-3f2a.js": compressed(SCRIPT, fingerprinted=True),
        "/logo.png": b"0123456789",
        "/empty.png": b"",
        "/docs/index.html": b"docs",
        "/a b?.html": b"odd",
        "/404.html": compressed(b"nothing here"),
    }
)


def get(path: str, **headers: str) -> Plan:
    return plan_response(SITE, SiteRequest("GET", path, **headers))


def blob(data: bytes) -> Blob:
    return Blob(sha256(data), 0, len(data))


def test_a_page_has_exactly_these_headers() -> None:
    assert get("/") == Plan(
        200,
        {
            "Content-Type": "text/html; charset=utf-8",
            "Vary": "Accept-Encoding",
            "ETag": etag(PAGE),
            "Last-Modified": LAST_MODIFIED,
            "Cache-Control": REVALIDATE,
            "Content-Length": str(len(PAGE)),
            "Accept-Ranges": "bytes",
            "X-Content-Type-Options": "nosniff",
        },
        blob(PAGE),
    )


def test_a_fingerprinted_file_is_kept_for_ever() -> None:
    assert get("/assets/app-3f2a.js").headers["Cache-Control"] == FOR_EVER


def test_an_empty_file_is_no_blob() -> None:
    plan = get("/empty.png", range="bytes=0-")
    assert (plan.status, plan.body, plan.headers["Content-Length"]) == (200, b"", "0")


def test_a_file_without_other_forms_does_not_vary() -> None:
    assert "Vary" not in get("/logo.png").headers


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("", None),
        ("gzip, deflate, br, zstd", "br"),
        ("br", "br"),
        ("BR", "br"),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate", None),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br ; q=1.0,gzip;\tq=1", "br"),
        ("br;q=0.001", "br"),
        ("br;q=0, gzip;q=0", None),
        ("*", "br"),
        ("*;q=0", None),
        ("br;q=0, *", "gzip"),
        ("identity, br;q=0.9", None),
        ("identity;q=0.5, gzip", "gzip"),
        ("identity;q=0", None),
        ("identity;q=0, gzip", "gzip"),
        ("br;q=2, gzip", "gzip"),
        ("br;q=٣", None),
        ("br;q", None),
        (",,gzip,,", "gzip"),
        ("brotli", None),
    ],
)
def test_the_encoding_follows_accept_encoding(accept: str, encoding: str | None) -> None:
    forms = {None: PAGE, "br": b"br:" + PAGE, "gzip": gzip.compress(PAGE, mtime=0)}
    plan = get("/", accept_encoding=accept)
    assert plan.headers.get("Content-Encoding") == encoding
    assert plan.body == blob(forms[encoding])
    assert plan.headers["Content-Length"] == str(len(forms[encoding]))
    assert plan.headers["ETag"] == etag(forms[encoding])
    assert plan.headers["Content-Type"] == "text/html; charset=utf-8"
    assert plan.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "if_none_match",
    [etag(PAGE), f"W/{etag(PAGE)}", "*", " * ", f'"other", {etag(PAGE)}', f'"a,b",W/{etag(PAGE)},"c"'],
)
def test_a_copy_that_is_still_good_is_a_304_with_the_caching_headers(if_none_match: str) -> None:
    plan = get("/", if_none_match=if_none_match, if_modified_since="Thu, 01 Jan 1970 00:00:00 GMT")
    assert plan == Plan(
        304,
        {
            "ETag": etag(PAGE),
            "Last-Modified": LAST_MODIFIED,
            "Cache-Control": REVALIDATE,
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        },
        b"",
    )


@pytest.mark.parametrize("if_none_match", ['"other"', etag(PAGE)[1:-1], '""', etag(PAGE)[:-1], "W/*"])
def test_a_copy_of_something_else_is_sent_anew(if_none_match: str) -> None:
    assert get("/", if_none_match=if_none_match, if_modified_since=LAST_MODIFIED).status == 200


def test_a_copy_in_another_encoding_is_another_copy() -> None:
    assert get("/", if_none_match=etag(PAGE), accept_encoding="br").status == 200
    assert get("/", if_none_match=etag(b"br:" + PAGE), accept_encoding="br").status == 304


@pytest.mark.parametrize(
    ("if_modified_since", "status"),
    [
        (LAST_MODIFIED, 304),
        ("Wed, 04 Mar 2026 05:06:06 GMT", 200),
        ("Wed, 04 Mar 2026 05:06:08 GMT", 200),  # a later deployment's, before a rollback
        ("yesterday", 200),
    ],
)
def test_if_modified_since_is_compared_exactly(if_modified_since: str, status: int) -> None:
    assert get("/", if_modified_since=if_modified_since).status == status


@pytest.mark.parametrize(
    ("header", "start", "length"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=2-4", 2, 3),
        ("bytes=7-", 7, 3),
        ("bytes=7-99", 7, 3),
        ("bytes=0-999999999999999999", 0, 10),
        ("bytes=-3", 7, 3),
        ("bytes=-99", 0, 10),
        ("Bytes= 1-1 ", 1, 1),
    ],
)
def test_one_range_is_a_part(header: str, start: int, length: int) -> None:
    plan = get("/logo.png", range=header)
    assert plan.status == 206
    assert plan.body == Blob(sha256(b"0123456789"), start, length)
    assert plan.headers["Content-Range"] == f"bytes {start}-{start + length - 1}/10"
    assert plan.headers["Content-Length"] == str(length)
    assert plan.headers["ETag"] == etag(b"0123456789")
    assert plan.headers["Content-Type"] == "image/png"


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_with_nothing_in_it_is_416(header: str) -> None:
    plan = get("/logo.png", range=header)
    assert plan.status == 416
    assert plan.headers["Content-Range"] == "bytes */10"
    assert isinstance(plan.body, bytes)


@pytest.mark.parametrize(
    "header",
    [
        "bytes=0-1,3-4",
        "bytes=" + ",".join(f"{n}-{n}" for n in range(1000)),
        "bytes=0-1, bytes=3-4",
        "bytes=4-2",
        "bytes=-",
        "bytes=a-b",
        "bytes=٣-",
        "bytes=" + "9" * 5000 + "-",
        "items=0-1",
        "0-1",
    ],
)
def test_several_ranges_or_none_that_can_be_read_are_the_whole(header: str) -> None:
    plan = get("/logo.png", range=header)
    assert (plan.status, plan.body) == (200, blob(b"0123456789"))
    assert "Content-Range" not in plan.headers


def test_a_range_is_of_plain_bytes() -> None:
    plan = get("/", range="bytes=0-3", accept_encoding="br")
    assert (plan.status, plan.body) == (206, Blob(sha256(PAGE), 0, 4))
    assert "Content-Encoding" not in plan.headers
    assert plan.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("if_range", "status"),
    [
        (etag(PAGE), 206),
        (LAST_MODIFIED, 206),
        (f"W/{etag(PAGE)}", 200),
        (etag(b"br:" + PAGE), 200),
        ("Wed, 04 Mar 2026 05:06:08 GMT", 200),
        ("*", 200),
        ("?", 200),
    ],
)
def test_if_range_asks_for_a_part_of_the_same_bytes_only(if_range: str, status: int) -> None:
    assert get("/", range="bytes=0-3", if_range=if_range).status == status
    if status == 200:
        assert get("/", range="bytes=99-", if_range=if_range).status == 200


def test_a_good_copy_comes_before_a_range() -> None:
    assert get("/", range="bytes=0-3", if_none_match=etag(PAGE)).status == 304


def test_a_redirect_keeps_the_query_as_it_came() -> None:
    plan = plan_response(SITE, SiteRequest("GET", "/docs", query="a=%2F&b=c+d?//x"))
    assert plan.status == 308
    assert plan.headers["Location"] == "/docs/?a=%2F&b=c+d?//x"
    assert plan.headers["Cache-Control"] == REVALIDATE
    assert get("/a%20b%3f/").headers["Location"] == "/a%20b%3F"


def test_a_miss_shows_the_sites_page_and_no_validators() -> None:
    plan = get("/nothing", accept_encoding="br", if_none_match="*", if_modified_since=LAST_MODIFIED)
    assert plan.status == 404
    assert plan.body == blob(b"br:nothing here")
    assert plan.headers["Content-Encoding"] == "br"
    assert plan.headers["Cache-Control"] == REVALIDATE
    assert not {"ETag", "Last-Modified", "Accept-Ranges"} & set(plan.headers)
    assert get("/nothing", range="bytes=0-1", accept_encoding="br").body == blob(b"nothing here")


def test_a_miss_of_a_fingerprinted_name_is_not_kept() -> None:
    assert get("/assets/app-gone.js").headers["Cache-Control"] == REVALIDATE


def test_a_site_without_a_404_page_shows_ours() -> None:
    plan = plan_response(manifest({"/a.html": b"x"}), SiteRequest("GET", "/<script>"))
    assert plan.status == 404
    assert isinstance(plan.body, bytes)
    assert b"There is no such page" in plan.body
    assert b"<script" not in plan.body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get"])
def test_another_method_is_405_and_says_which_are_allowed(method: str) -> None:
    plan = plan_response(SITE, SiteRequest(method, "/"))
    assert (plan.status, plan.headers["Allow"]) == (405, "GET, HEAD")


def test_a_bad_path_is_400() -> None:
    assert get("/..%2fx").status == 400


def test_a_preview_is_not_for_search_engines() -> None:
    for path in ("/", "/nothing", "/docs", "/..%2f"):
        plan = plan_response(SITE, SiteRequest("GET", path), preview=True)
        assert plan.headers["X-Robots-Tag"] == "noindex"
    assert "X-Robots-Tag" not in get("/").headers


HEADER = st.text(max_size=30) | st.sampled_from(
    ["*", "br, gzip;q=0.5", etag(PAGE), LAST_MODIFIED, "bytes=0-3", "bytes=9-", "bytes=-1"]
)
PATH = (
    st.sampled_from(["/", "/docs", "/a%20b%3f/", "/logo.png", "/nothing", "//evil", "/%2fevil/"]) | st.text()
)
REQUESTS = st.builds(
    SiteRequest,
    method=st.sampled_from(["GET", "HEAD", "POST"]) | st.text(),
    path=PATH | st.text("/.%25eE\\", max_size=12).map("/".__add__),
    query=st.text(),
    accept_encoding=HEADER,
    if_none_match=HEADER,
    if_modified_since=HEADER,
    if_range=HEADER,
    range=HEADER,
)
SIZES = {entry.sha256: entry.bytes for entry in SITE.files.values()} | {
    form.sha256: form.bytes for entry in SITE.files.values() for form in entry.encodings.values()
}


@given(REQUESTS)
def test_no_request_raises_or_reaches_beyond_the_manifest(request: SiteRequest) -> None:
    plan = plan_response(SITE, request)
    if isinstance(plan.body, Blob):
        assert 0 <= plan.body.start < plan.body.start + plan.body.length <= SIZES[plan.body.sha256]
        assert plan.headers["Content-Length"] == str(plan.body.length)


@given(REQUESTS)
def test_no_request_puts_more_than_a_line_into_a_header(request: SiteRequest) -> None:
    for name, value in plan_response(SITE, request).headers.items():
        assert f"{name}: {value}".isascii()
        assert f"{name}: {value}".isprintable()


EVIL_FILES = st.text("/\\.xevil%?#@:é\t", min_size=1, max_size=12).map(lambda text: f"/{text}.html")


@given(EVIL_FILES, st.text())
def test_no_redirect_leaves_the_host(path: str, query: str) -> None:
    # Made past parse_manifest, which refuses most of these: the plan must hold by itself.
    entry = SITE.files["/logo.png"]
    site = type(SITE)(SITE.created_at, {path: entry}, spa=False, has_not_found_page=False)
    escaped = "".join(f"%{byte:02x}" for byte in path.removesuffix(".html").encode())
    plan = plan_response(site, SiteRequest("GET", f"/{escaped[3:]}/", query=query))
    if plan.status == 308:
        location = plan.headers["Location"]
        assert location.startswith("/")
        assert not location.startswith(("//", "/\\"))


@given(REQUESTS)
def test_head_has_every_header_of_get(request: SiteRequest) -> None:
    # But for ranges, which HEAD does not have: RFC 9110 14.2.
    fields = {name: getattr(request, name) for name in request.__slots__} | {"range": ""}
    head = plan_response(SITE, SiteRequest(**fields | {"method": "HEAD"}))
    get = plan_response(SITE, SiteRequest(**fields | {"method": "GET"}))
    assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")


def test_a_file_may_be_named_as_it_likes() -> None:
    odd = manifest({"/é <b>.png": File(b"x")})
    assert plan_response(odd, SiteRequest("GET", "/%C3%A9%20%3Cb%3E.png")).status == 200
