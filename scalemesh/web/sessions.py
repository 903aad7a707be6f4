"""Who is asking. The cookie is encrypted (aiohttp-session) and holds a token that the database can revoke."""

import ipaddress
from collections.abc import Sequence

import aiohttp_session
from aiohttp import web
from aiohttp_session.cookie_storage import EncryptedCookieStorage

from scalemesh.accounts import SESSION_LIFETIME
from scalemesh.auth.secretbox import fernet_for
from scalemesh.auth.tokens import token_hash
from scalemesh.errors import ForeignOrigin, NotLoggedIn
from scalemesh.logs.events import SessionEnded
from scalemesh.model import User
from scalemesh.settings import Settings
from scalemesh.web.services import SERVICES

_TOKEN = "token"  # noqa: S105 - the name of the field
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
USER = web.RequestKey("user", User)


def cookie_storage(settings: Settings, key: str) -> EncryptedCookieStorage:
    # `__Host-` keeps a site on a subdomain from planting a cookie of this name; browsers want it Secure.
    return EncryptedCookieStorage(
        fernet_for(key, "session cookie"),
        cookie_name="__Host-scalemesh" if settings.secure_cookies else "scalemesh",
        max_age=int(SESSION_LIFETIME.total_seconds()),
        httponly=True,
        samesite="Lax",
        secure=settings.secure_cookies,
    )


async def fetch_user(request: web.Request) -> User | None:
    """None where nobody is logged in. Asks the database once a request."""
    if USER in request:
        return request[USER]
    session = await aiohttp_session.get_session(request)
    token = session.get(_TOKEN)
    user = await request.app[SERVICES].accounts.fetch_session_user(token) if token else None
    if user is not None:
        request[USER] = user
    return user


async def get_user(request: web.Request) -> User:
    """Raises NotLoggedIn."""
    user = await fetch_user(request)
    if user is None:
        raise NotLoggedIn
    return user


async def session_hash(request: web.Request) -> str:
    """The present session's name among server processes: its token's hash in hex."""
    session = await aiohttp_session.get_session(request)
    return token_hash(session[_TOKEN]).hex()


async def begin(request: web.Request, user: User) -> None:
    """A new session for the user; the one that the request came with ends."""
    await end(request)
    session = await aiohttp_session.new_session(request)
    session[_TOKEN] = await request.app[SERVICES].accounts.begin_session(user)
    request[USER] = user


async def end(request: web.Request) -> None:
    """The session is dead on the server, its open consoles close, and the cookie goes."""
    user = await fetch_user(request)
    session = await aiohttp_session.get_session(request)
    if user is not None:
        services = request.app[SERVICES]
        await services.accounts.end_session(session[_TOKEN])
        await services.announcer.announce(SessionEnded(user.id, await session_hash(request)))
    session.invalidate()


def check_origin(request: web.Request, *, required: bool = False) -> None:
    """Refuse what another site's page started with the user's cookie. A site's subdomain is another site.

    Browsers send ``Origin`` with every write and every WebSocket; ``required`` is for the latter, where a
    request without it is none of ours. Raises ForeignOrigin.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise ForeignOrigin
    origin = request.headers.get("Origin")
    if origin is None and not required:
        return
    # The front has made sure that Host is a control host.
    if origin not in (f"http://{request.host}", f"https://{request.host}"):
        raise ForeignOrigin


def is_write(request: web.Request) -> bool:
    return request.method not in _SAFE_METHODS


def client_address(request: web.Request) -> str:
    """The client's IP address; what proxies say of it counts only from those in TRUSTED_PROXIES."""
    return forwarded_address(
        request.remote or "unknown",
        request.headers.getall("X-Forwarded-For", ()),
        request.app[SERVICES].settings.trusted_proxies,
    )


def forwarded_address(peer: str, forwarded_for: Sequence[str], trusted_proxies: Sequence[str]) -> str:
    """Where ``forwarded_for``, the lines of X-Forwarded-For, leads from ``peer`` over trusted hops."""
    networks = [ipaddress.ip_network(network, strict=False) for network in trusted_proxies]
    if not networks:
        return peer
    # A proxy may add a line of its own below the client's; they count as one list.
    hops = [hop.strip() for hop in ",".join(forwarded_for).split(",") if hop.strip()]
    # From the nearest hop outwards, each one is believed as long as the one that names it is.
    while hops and _is_in(peer, networks):
        peer = hops.pop()
    return peer


def _is_in(address: str, networks: "list[ipaddress.IPv4Network | ipaddress.IPv6Network]") -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    # An IPv4 peer of a socket that listens on IPv6.
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)


def safe_next(path: str) -> str:
    """``path`` where it is a page of this site, else the start page."""
    inside = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if inside and path.isprintable() and "\\" not in path else "/"
