"""The whole answer to a request for a site, decided: its status, each of its headers, and where its body is.

Pure: the same manifest and request give the same plan, whatever the store, the clock or the network do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from scalemesh.sites.conditional import is_same_for_range, is_unchanged, make_etag, make_last_modified
from scalemesh.sites.manifest import Encoded, FileEntry, Manifest
from scalemesh.sites.negotiate import IDENTITY, choose_encoding
from scalemesh.sites.pages import (
    BAD_PATH,
    CONTENT_SECURITY_POLICY,
    HTML,
    METHOD_NOT_ALLOWED,
    NO_PAGE,
    RANGE_NOT_SATISFIABLE,
    Page,
    render,
)
from scalemesh.sites.paths import BadPath, decode_path
from scalemesh.sites.ranges import ByteRange, RangeNotSatisfiable, parse_range
from scalemesh.sites.redirects import PATH_SAFE, header_query
from scalemesh.sites.request import SiteRequest
from scalemesh.sites.resolve import Elsewhere, Found, NotFound, Outcome, Redirected, resolve

REVALIDATE = "public, max-age=0, must-revalidate"
"""Kept, but asked about each time, so that a deploy is seen at once. Redirects too: 308 is kept for good."""

FOR_EVER = "public, max-age=31536000, immutable"
"""A year, which caches take as for ever: under a fingerprinted name the content never changes."""

NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}

ALLOWED_METHODS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Blob:
    """``length`` bytes, at least 1, from ``start`` of the project's blob ``sha256``."""

    sha256: str
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Plan:
    """``headers`` is complete but for what the connection adds (Date, Server, Connection).

    It has the same Content-Length for HEAD as for GET, with an empty body.
    """

    status: int
    headers: Mapping[str, str]
    body: Blob | bytes

    missing_asset: str | None = None
    """A decoded path that pages load and this deployment does not have.

    The project's earlier deployments are to be asked for it, and ``plan_response`` again with what they had.
    Where they had nothing, this plan stands.
    """


@dataclass(frozen=True, slots=True)
class EarlierFile:
    """A file of an earlier deployment of the project, and when that was made."""

    entry: FileEntry
    created_at: datetime


def plan_response(
    manifest: Manifest,
    request: SiteRequest,
    *,
    preview: bool = False,
    earlier: EarlierFile | None = None,
) -> Plan:
    """Answer ``request`` from ``manifest`` alone. Never raises, whatever the request holds.

    ``preview`` marks a deployment's own address, which search engines must not list beside the site's.
    ``earlier`` is what an earlier deployment had for the ``missing_asset`` of this request's plan.
    """
    plan = _plan_get(manifest, request, earlier)
    if preview:
        # Whatever a rule of the site's says, and in whichever case.
        kept = {name: value for name, value in plan.headers.items() if name.lower() != "x-robots-tag"}
        plan = replace(plan, headers={**kept, "X-Robots-Tag": "noindex"})
    return replace(plan, body=b"") if request.method == "HEAD" else plan


def plan_page(page: Page, headers: Mapping[str, str] | None = None) -> Plan:
    """One of our own pages, with ``headers`` added."""
    body = render(page)
    return Plan(
        page.status,
        {
            "Content-Type": HTML,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "Cache-Control": REVALIDATE,
            **NO_SNIFFING,
            **(headers or {}),
        },
        body,
    )


def _plan_get(manifest: Manifest, request: SiteRequest, earlier: EarlierFile | None) -> Plan:
    if request.method not in ALLOWED_METHODS:
        return plan_page(METHOD_NOT_ALLOWED, {"Allow": ", ".join(ALLOWED_METHODS)})
    try:
        path = decode_path(request.path)
    except BadPath:
        return plan_page(BAD_PATH)
    plan = _plan_path(manifest, path, request, earlier)
    if not manifest.headers.blocks:
        return plan
    return replace(plan, headers=manifest.headers.apply(path, plan.status, plan.headers))


def _plan_path(manifest: Manifest, path: str, request: SiteRequest, earlier: EarlierFile | None) -> Plan:
    outcome = resolve(manifest, path, request.query)
    is_missing_asset = isinstance(outcome, Found | NotFound) and outcome.is_missing_asset
    if is_missing_asset and earlier is not None:
        return _plan_file(earlier.entry, earlier.created_at, request, kept=earlier.entry.fingerprinted)
    plan = _plan_outcome(manifest, outcome, request)
    return replace(plan, missing_asset=path) if is_missing_asset else plan


def _plan_outcome(manifest: Manifest, outcome: Outcome, request: SiteRequest) -> Plan:
    match outcome:
        case Found(entry, rewritten):
            # Under another path than its own, the name no longer changes with the content.
            kept = entry.fingerprinted and not rewritten
            return _plan_file(entry, manifest.created_at, request, kept=kept)
        case Elsewhere(elsewhere):
            return _plan_redirect(308, _location(elsewhere, request.query))
        case Redirected(status, location):
            return _plan_redirect(status, location)
        case NotFound(page):
            return _plan_missing(page, request)


def _location(path: str, query: str) -> str:
    # One slash, whatever the path began with: two would make its first segment a host.
    location = "/" + quote(path.lstrip("/"), safe=PATH_SAFE)
    return f"{location}?{header_query(query)}" if query else location


def _plan_redirect(status: int, location: str) -> Plan:
    headers = {"Location": location, "Content-Length": "0", "Cache-Control": REVALIDATE}
    return Plan(status, {**headers, **NO_SNIFFING}, b"")


def _plan_missing(page: FileEntry | None, request: SiteRequest) -> Plan:
    if page is None:
        return plan_page(NO_PAGE)
    # No validators and no ranges: with them a client could turn "there is no such page" into a 304 or 206.
    encoding = _encoding(page, request)
    form = _form(page, encoding)
    headers = {**_content_headers(page, encoding), "Content-Length": str(form.bytes)}
    return Plan(404, {**headers, "Cache-Control": REVALIDATE, **NO_SNIFFING}, _whole(form))


def _plan_file(entry: FileEntry, created_at: datetime, request: SiteRequest, *, kept: bool) -> Plan:
    last_modified = make_last_modified(created_at)
    encoding = _encoding(entry, request)
    form = _form(entry, encoding)
    etag = make_etag(form.sha256)
    caching = {
        "ETag": etag,
        "Last-Modified": last_modified,
        "Cache-Control": FOR_EVER if kept else REVALIDATE,
        **NO_SNIFFING,
        **_vary(entry),
    }
    if is_unchanged(
        etag,
        last_modified,
        if_none_match=request.if_none_match,
        if_modified_since=request.if_modified_since,
    ):
        return Plan(304, caching, b"")
    if _is_ranged(request) and is_same_for_range(etag, last_modified, request.if_range):
        try:
            part = parse_range(request.range, form.bytes)
        except RangeNotSatisfiable:
            return plan_page(
                RANGE_NOT_SATISFIABLE, {"Content-Range": f"bytes */{form.bytes}", **_vary(entry)}
            )
        if part is not None:
            return _plan_part(entry, part, caching)
    headers = {**_content_headers(entry, encoding), **caching, "Content-Length": str(form.bytes)}
    return Plan(200, {**headers, "Accept-Ranges": "bytes"}, _whole(form))


def _plan_part(entry: FileEntry, part: ByteRange, caching: Mapping[str, str]) -> Plan:
    headers = {
        **_content_headers(entry, IDENTITY),
        **caching,
        "Content-Length": str(part.length),
        "Content-Range": f"bytes {part.start}-{part.start + part.length - 1}/{entry.bytes}",
    }
    return Plan(206, {**headers, "Accept-Ranges": "bytes"}, Blob(entry.sha256, part.start, part.length))


def _is_ranged(request: SiteRequest) -> bool:
    # A HEAD has no ranges: RFC 9110 14.2.
    return request.method == "GET" and request.range != ""


def _encoding(entry: FileEntry, request: SiteRequest) -> str:
    # Ranges count plain bytes: a download that is resumed in another encoding would join two files.
    return IDENTITY if _is_ranged(request) else choose_encoding(entry, request.accept_encoding)


def _whole(form: FileEntry | Encoded) -> Blob | bytes:
    return Blob(form.sha256, 0, form.bytes) if form.bytes else b""


def _form(entry: FileEntry, encoding: str) -> FileEntry | Encoded:
    return entry if encoding == IDENTITY else entry.encodings[encoding]


def _content_headers(entry: FileEntry, encoding: str) -> dict[str, str]:
    encoded = {} if encoding == IDENTITY else {"Content-Encoding": encoding}
    return {"Content-Type": entry.type, **encoded, **_vary(entry)}


def _vary(entry: FileEntry) -> dict[str, str]:
    return {"Vary": "Accept-Encoding"} if entry.encodings else {}
