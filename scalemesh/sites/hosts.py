"""Which door a request knocks at: the control host, a site, a host that is not ours, or no host at all.

The grammar is RFC 9112 3.2 and RFC 3986 3.2.2, less what no browser sends: user names and percent-escapes.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

MAX_NAME_CHARS = 253  # RFC 1035 2.3.4, without the final dot
MAX_PORT = 65535

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"  # names with `_` are in use, though not for hosts
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_AUTHORITY = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]]+)(?::(?P<port>[0-9]{0,5}))?")
_ABSOLUTE = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ControlHost:
    """The dashboard and the API."""


@dataclass(frozen=True, slots=True)
class SiteHost:
    """A host under the sites domain, whether or not a site lives there.

    ``label`` is a slug or a project id. ``deployment_id`` is None for the production deployment.
    """

    label: str
    deployment_id: str | None


@dataclass(frozen=True, slots=True)
class UnknownHost:
    """Well formed, but no host of ours."""


@dataclass(frozen=True, slots=True)
class BadHost:
    """No Host, several, one that is none, or a request target that contradicts it."""


Host = ControlHost | SiteHost | UnknownHost | BadHost


@dataclass(frozen=True, slots=True)
class Hostnames:
    """The names this server answers to, as ``parse_host`` compares them."""

    control: frozenset[str]
    sites_suffix: str

    @classmethod
    def of(cls, *, control_hosts: Iterable[str], sites_domain: str) -> "Hostnames":
        """Each name may carry a port, which is ignored. Raises ``ValueError`` for one that is no host."""
        return cls(frozenset(map(_known_name, control_hosts)), f".{_known_name(sites_domain)}")


def parse_host(values: Sequence[str], target: str, names: Hostnames) -> Host:
    """Where a request belongs. ``values`` is every Host line; ``target`` is the request line's, undecoded."""
    name = _host_name(values[0]) if len(values) == 1 else None
    if name is None or not _agrees(target, name):
        return BadHost()
    if name in names.control:
        return ControlHost()
    if not name.endswith(names.sites_suffix):
        return UnknownHost()
    return _site_host(name.removesuffix(names.sites_suffix))


def _site_host(label: str) -> SiteHost | UnknownHost:
    if "." in label or "_" in label:
        return UnknownHost()
    # A slug never holds `--`, so the first one ends the deployment id, and there is no other.
    before, separator, after = label.partition("--")
    if not separator:
        return SiteHost(label, None)
    return UnknownHost() if "--" in after else SiteHost(after, before)


def _agrees(target: str, name: str) -> bool:
    """False if an absolute-form target is for another host, or for something that is not HTTP."""
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        return True
    return absolute["scheme"].lower() in ("http", "https") and _host_name(absolute["authority"]) == name


@lru_cache(maxsize=256)  # a site's visitors all say the same
def _host_name(authority: str) -> str | None:
    """``Name.:80`` as ``name``, ``[0::1]:80`` as ``[::1]``; None if it is not a host and a port."""
    # lower() is for ASCII: it turns the Kelvin sign into a k, and so a stranger's name into ours.
    parts = _AUTHORITY.fullmatch(authority.lower()) if authority.isascii() else None
    if parts is None or int(parts["port"] or 0) > MAX_PORT:
        return None
    name = parts["name"]
    if name.startswith("["):
        return _ipv6_name(name)
    if not _NAME.fullmatch(name):
        return None
    name = name.removesuffix(".")
    return name if len(name) <= MAX_NAME_CHARS else None


def _ipv6_name(literal: str) -> str | None:
    try:
        return f"[{IPv6Address(literal[1:-1])}]"
    except AddressValueError:
        return None


def _known_name(text: str) -> str:
    name = _host_name(text)
    if name is None:
        raise ValueError(f"not a host name: {text!r}")
    return name
