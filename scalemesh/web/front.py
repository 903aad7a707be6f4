"""In front of everything: which host a request is for, and what every answer of the control host carries."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware
from aiohttp.web_urldispatcher import MatchInfoError

from scalemesh.settings import Settings
from scalemesh.sites import (
    BadHost,
    ControlHost,
    Hostnames,
    SiteHost,
    Sites,
    UnknownHost,
    bad_host_response,
    parse_host,
    unknown_host_response,
)
from scalemesh.web.answers import REQUEST_ID, new_request_id, usable_request_id
from scalemesh.web.sessions import check_origin, is_write
from scalemesh.web.traffic import ROUTE_CLASS, RouteClass

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Front = Callable[[Handler], Handler]

# Load balancers, the kubelet and Prometheus ask by address, whatever our name is.
_MACHINES_PATHS = frozenset({"/health", "/health/live", "/metrics"})

_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers then send `Origin: null` with a form, and the form would be refused.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# Its address has the content's hash in it.
_STATIC_CACHING = "public, max-age=31536000, immutable"


def hostnames(settings: Settings) -> Hostnames:
    return Hostnames.of(control_hosts=settings.control_hosts, sites_domain=settings.sites_domain)


def dispatch_host(settings: Settings, sites: Sites, app: web.Application) -> Front:
    """Sites answer for their hosts; ``app`` sees requests for a control host only.

    In front of ``app`` and no middleware of it: that would look for a route first, and to find that there is
    none costs as much as finding a page.
    """
    names = hostnames(settings)

    def dispatch_before(inside: Handler) -> Handler:
        nowhere = MatchInfoError(web.HTTPNotFound())
        nowhere.add_app(app)
        nowhere.freeze()

        async def dispatch(request: web.Request) -> web.StreamResponse:
            host = parse_host(request.headers.getall("Host", ()), request.raw_path, names)
            if isinstance(host, ControlHost):
                request[ROUTE_CLASS] = RouteClass.CONTROL
                return await inside(request)
            if isinstance(host, UnknownHost) and request.path in _MACHINES_PATHS:
                return await inside(request)
            # As the application itself does: for ``on_prepare``, and for clients that wait to be asked on.
            request._match_info = nowhere
            if "Expect" in request.headers:
                await nowhere.expect_handler(request)
                await request.writer.drain()
            match host:
                case SiteHost():
                    request[ROUTE_CLASS] = RouteClass.SITE
                    return await sites.respond(request, host)
                case UnknownHost():
                    return unknown_host_response()
                case BadHost():
                    return bad_host_response()

        return dispatch

    return dispatch_before


@web.middleware
async def name_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every request has an id: the caller's where it gave a usable one."""
    request[REQUEST_ID] = usable_request_id(request.headers.get("X-Request-ID", "")) or new_request_id()
    return await handler(request)


@web.middleware
async def refuse_foreign_writes(request: web.Request, handler: Handler) -> web.StreamResponse:
    if is_write(request):
        check_origin(request)
    return await handler(request)


def control_headers(settings: Settings) -> Middleware:
    """The security headers, on everything but what was sent already (streams set theirs here too)."""
    headers = dict(_SECURITY_HEADERS)
    if settings.secure_cookies:
        headers["Strict-Transport-Security"] = "max-age=31536000"

    @web.middleware
    async def add(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[_HEADERS] = headers
        return await handler(request)

    return add


_HEADERS: web.RequestKey[dict[str, str]] = web.RequestKey("control headers", dict)


async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
    """Runs before any answer's headers are sent; sites' requests never got ``_HEADERS``."""
    if _HEADERS in request and request.path.startswith("/static/") and response.status in (200, 304):
        response.headers["Cache-Control"] = _STATIC_CACHING
    for name, value in request.get(_HEADERS, {}).items():
        response.headers.setdefault(name, value)
    if REQUEST_ID in request:
        response.headers["X-Request-ID"] = request[REQUEST_ID]
    # Which versions run here is nobody's business.
    response.headers.pop("Server", None)
