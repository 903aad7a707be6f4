"""How git gets to a host: through the proxy, or directly to an address that was judged."""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from builder.giturl import RefusedURL, RepoURL, is_public

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class UnknownHost(Exception):
    """The name does not resolve; ``temporary`` where asking again may help."""

    def __init__(self, host: str, *, temporary: bool) -> None:
        super().__init__(host)
        self.temporary = temporary


@dataclass(frozen=True, slots=True)
class Route:
    """What git gets so that it goes where we looked: ``-c`` entries, and variables it must not see."""

    config: tuple[str, ...] = ()
    dropped_variables: tuple[str, ...] = ()


async def find_route(url: RepoURL, environ: Mapping[str, str], *, allow_local: bool) -> Route:
    """Resolves the host, judges every address and pins git to them, so that it can't resolve anew.

    With a proxy the proxy resolves. Whether git uses it is decided here and not left to NO_PROXY.
    Raises ``RefusedURL`` and ``UnknownHost``.
    """
    if url.scheme == "file":
        return Route(dropped_variables=(*_PROXIES, "no_proxy"))
    lowered = {name.lower(): value for name, value in environ.items() if value}
    # curl reads http_proxy in lowercase only, since a CGI server sets HTTP_PROXY from a request header.
    plain = environ.get("http_proxy") if url.scheme == "http" else lowered.get("https_proxy")
    if (plain or lowered.get("all_proxy")) and not _bypasses(url.host, lowered.get("no_proxy", "")):
        return Route(dropped_variables=("no_proxy",))
    addresses = await _resolve(url)
    if not allow_local and not all(is_public(ip_address(address)) for address in addresses):
        raise RefusedURL(f"leads to a private network ({url.host})")
    pinned = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
    host = f"[{url.host}]" if ":" in url.host else url.host
    return Route((f"http.curloptResolve={host}:{url.port}:{pinned}",), (*_PROXIES, "no_proxy"))


async def _resolve(url: RepoURL) -> list[str]:
    """Every address of the host, each once, in the resolver's order, without IPv6 zones."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise UnknownHost(url.host, temporary=error.errno == socket.EAI_AGAIN) from error
    except UnicodeError as error:
        raise UnknownHost(url.host, temporary=False) from error
    return list(dict.fromkeys(str(sockaddr[0]).partition("%")[0] for *_, sockaddr in found))


def _bypasses(host: str, no_proxy: str) -> bool:
    entries = (entry.strip().lower().lstrip(".") for entry in no_proxy.split(","))
    return any(entry == "*" or (entry and f".{host}".endswith(f".{entry}")) for entry in entries)
