"""Git URLs and refs.

This is the first of two looks at a URL: the builder judges it again, with the addresses that its name
resolves to, where git connects.
"""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

from scalemesh.examples import URL_PREFIX

URL_MAX_CHARACTERS = 1024
REF_MAX_CHARACTERS = 200
TOKEN_MAX_CHARACTERS = 1024

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]+)"
)
_SCP_LIKE = re.compile(r"[A-Za-z0-9._-]+@(?P<host>[A-Za-z0-9.-]+):(?P<path>[A-Za-z0-9._~/-]+)")
_TOKEN = re.compile(rf"[!-~]{{1,{TOKEN_MAX_CHARACTERS}}}")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+@#-]*")
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home", ".corp", ".home.arpa", ".intranet")


@dataclass(frozen=True, slots=True)
class GitRules:
    """What this server admits. ``allowed_hosts`` empty: any public host. ``examples``: bundled slugs."""

    allowed_hosts: Collection[str] = ()
    allow_local: bool = False
    examples: Collection[str] = ()


def git_url(value: str, rules: GitRules) -> str:
    value = value.strip(" ")
    if not value:
        raise ValueError("Give the repository's address, like https://github.com/you/site.git.")
    if value.startswith(URL_PREFIX):
        return _example(value, rules)
    if len(value) > URL_MAX_CHARACTERS:
        raise ValueError(f"Use a git URL of at most {URL_MAX_CHARACTERS} characters.")
    match = _URL.fullmatch(value)
    if match is None:
        raise ValueError(_why_not_a_url(value))
    if match["scheme"] == "http" and not rules.allow_local:
        raise ValueError("Use an https:// address: over http:// anybody on the way could change the code.")
    _check_port(match["port"], rules)
    _check_host(match["host"].lower(), rules)
    if not match["path"].strip("/"):
        raise ValueError("The git URL names a host but no repository.")
    return value


def ref(value: str) -> str:
    """A branch, tag or commit, as `git check-ref-format` admits it and without any shell's characters.

    A branch by its full name (``refs/heads/main``, as webhooks and CI have it) is the branch.
    """
    value = value.removeprefix("refs/heads/")
    bad = (
        len(value) > REF_MAX_CHARACTERS
        or not _REF.fullmatch(value)
        or ".." in value
        or "@{" in value
        or value.endswith((".", "/"))
        or any(not part or part.startswith(".") or part.endswith(".lock") for part in value.split("/"))
    )
    if bad:
        raise ValueError("Give a branch, tag or commit by its name, like main or release/2.0.")
    return value


def access_token(value: str) -> str:
    """``token`` or ``user:token``."""
    value = value.strip()
    if not _TOKEN.fullmatch(value):
        raise ValueError(
            f"Use a token of at most {TOKEN_MAX_CHARACTERS} characters without spaces, or user:token."
        )
    return value


def host_of(url: str) -> str:
    """Scheme, host and port of a URL that ``git_url`` took: who gets to see an access token."""
    match = _URL.fullmatch(url)
    return url[: match.start("path")].lower() if match else ""


def _example(value: str, rules: GitRules) -> str:
    if value.removeprefix(URL_PREFIX) not in rules.examples:
        raise ValueError("This server has no such example. Give a repository's https:// address.")
    return value


def _why_not_a_url(value: str) -> str:
    scp = _SCP_LIKE.fullmatch(value)
    if scp and not scp["host"].startswith("-") and not scp["path"].startswith("-"):
        return f"Use the repository's https:// address: https://{scp['host']}/{scp['path'].lstrip('/')}"
    if re.match(r"https?://[^/]*@", value):
        return "Leave the user name and token out of the git URL: they would end up in logs."
    return "Give the repository's https:// address, like https://github.com/you/site.git."


def _check_port(port: str | None, rules: GitRules) -> None:
    if port is None or rules.allow_local:
        return
    if port not in ("443", "80"):
        raise ValueError(f"Port {port} is not one that git is served on here. Leave the port out.")


def _check_host(host: str, rules: GitRules) -> None:
    if rules.allowed_hosts and host not in rules.allowed_hosts:
        raise ValueError(
            f"Repositories come from these hosts here: {', '.join(sorted(rules.allowed_hosts))}."
        )
    if host.startswith("[") or _looks_numeric(host):
        _check_address(host.strip("[]"), rules)
        return
    labels = host.split(".")
    if any(not label or len(label) > 63 or label[0] == "-" or label[-1] == "-" for label in labels):
        raise ValueError(f"{host} is not a host's name.")
    if not rules.allow_local and (len(labels) == 1 or host.endswith(_PRIVATE_SUFFIXES)):
        raise ValueError(f"{host} is not a public host. Give a repository that the internet can reach.")


def _looks_numeric(host: str) -> bool:
    """Whether a C library could read the name as an address: 127.1, 0x7f000001, 2130706433."""
    last = host.rstrip(".").rpartition(".")[2]
    return last.isdigit() or last.startswith("0x")


def _check_address(host: str, rules: GitRules) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError("Name the git host, not a number.") from None
    inner = getattr(address, "ipv4_mapped", None) or address
    if rules.allow_local and (inner.is_loopback or inner.is_private) and not inner.is_link_local:
        return
    if not inner.is_global or inner.is_multicast or isinstance(inner, ipaddress.IPv6Address):
        raise ValueError(f"{host} is not a public address. Give a repository that the internet can reach.")
