"""Which repository addresses the builder goes to. Pure: names are resolved in ``clone``."""

import ipaddress
import re
from dataclasses import dataclass

MAX_URL_BYTES = 2048

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]+)",
    re.ASCII,
)
_FILE_URL = re.compile(r"file://(?P<path>/[^\x00-\x20\x7f\\?#]+)")
_NUMBER_LABEL = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".onion")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# ``is_global`` differs between Python versions and lets multicast and translated addresses pass, so the
# blocks are named here. Source: the IANA special-purpose address registries for IPv4 and IPv6.
_NEVER_V4 = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
"""Leaves out ``::``, ``64:ff9b::/96``, ``fc00::/7``, ``fe80::/10``, ``ff00::/8``."""
_NEVER_V6 = tuple(
    ipaddress.IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments; Teredo, which holds an IPv4 address, among them
        "2001:db8::/32",
        "2002::/16",  # 6to4, which holds an IPv4 address
        "3fff::/20",
    )
)


class RefusedURL(ValueError):
    """``str(error)`` is a clause that completes "The repository address …"."""


@dataclass(frozen=True, slots=True)
class RepoURL:
    """An address git may be given. ``host`` is lowercase, without brackets; empty for a file."""

    url: str
    scheme: str
    host: str
    port: int


def parse_repo_url(url: str, *, allow_local: bool, allow_file: bool) -> RepoURL:
    """``url``, if it is one that we clone from.

    ``allow_local`` admits ``http://``, any port and local names; ``allow_file`` admits ``file:///…``.
    Raises ``RefusedURL``.
    """
    if len(url.encode(errors="replace")) > MAX_URL_BYTES:
        raise RefusedURL(f"is longer than {MAX_URL_BYTES} bytes")
    if allow_file and _FILE_URL.fullmatch(url):
        return RepoURL(url, "file", "", 0)
    match = _URL.fullmatch(url)
    if match is None:
        raise RefusedURL("is not a plain https:// URL (no user name, password, spaces or query)")
    scheme, host = match["scheme"], match["host"].lower().strip("[]")
    if scheme == "http" and not allow_local:
        raise RefusedURL("begins with http://, which anybody on the way can change")
    port = int(match["port"]) if match["port"] else {"http": 80, "https": 443}[scheme]
    if not 0 < port < 65536 or (port not in (80, 443) and not allow_local):
        raise RefusedURL(f"names port {port}; only 80 and 443 are used")
    literal = _literal_address(host)
    if not allow_local:
        if literal is None and _is_local_name(host):
            raise RefusedURL("names a host of a private network")
        if literal is not None and not is_public(literal):
            raise RefusedURL("names an address of a private network")
    return RepoURL(url, scheme, host, port)


def is_public(address: IPAddress) -> bool:
    """Whether ``address`` is a global unicast address. A mapped IPv4 address is judged by the inner one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        return address in _GLOBAL_V6 and not any(address in block for block in _NEVER_V6)
    return not any(address in block for block in _NEVER_V4)


def _literal_address(host: str) -> IPAddress | None:
    """The address that ``host`` spells, or None for a name.

    A host whose last label is a number is an address to every resolver (``127.1``, ``0x7f000001``), so
    any spelling but the usual one is refused.
    """
    if ":" in host or _NUMBER_LABEL.fullmatch(host.rpartition(".")[2]):
        try:
            return ipaddress.ip_address(host)
        except ValueError:
            raise RefusedURL("spells an IP address in an unusual way") from None
    return None


def _is_local_name(host: str) -> bool:
    return "." not in host or host.endswith(_LOCAL_SUFFIXES) or host == "localhost"
