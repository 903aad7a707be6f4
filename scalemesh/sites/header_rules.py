"""The blocks of a site's ``_headers``: what they add to an answer, change in it and take away."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import unquote

from pydantic import Field, StringConstraints

from scalemesh.sites.redirects import RulePath

MAX_BLOCKS = 100
MAX_BLOCK_HEADERS = 2_000
MAX_VALUE_CHARS = 10_000
"""The builder allows 8,000 characters a block; this is only what a damaged manifest can't exceed."""

SERVERS_OWN = frozenset(
    {
        "accept-ranges",
        "age",
        "allow",
        "alt-svc",
        "basic-auth",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "date",
        "etag",
        "keep-alive",
        "last-modified",
        "location",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "server",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""No rule touches these: framing, validators, and what would be the same secret for everybody."""

_NOT_REMOVABLE = frozenset({"content-type", "vary"})
_OF_THE_CONTENT = frozenset({"content-type", "content-disposition", "content-language"})
_OF_COPIES = frozenset({"cache-control", "cdn-cache-control", "surrogate-control", "expires"})

_Name = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", max_length=200)]
_Value = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]*[!-~])?$", max_length=MAX_VALUE_CHARS)]


@dataclass(frozen=True, slots=True)
class HeaderBlock:
    """What is done to the answers for ``path``: first ``removed``, then ``headers`` replace those there."""

    path: RulePath
    removed: Annotated[Sequence[_Name], Field(alias="remove", max_length=MAX_BLOCK_HEADERS)] = ()
    headers: Annotated[Mapping[_Name, _Value], Field(alias="set", max_length=MAX_BLOCK_HEADERS)] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """Every block that is for a path applies, in order, so that a later one wins."""

    blocks: Sequence[HeaderBlock]
    _patterns: Sequence[re.Pattern[str]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_patterns", [_pattern(block.path) for block in self.blocks])

    def apply(self, path: str, status: int, headers: Mapping[str, str]) -> Mapping[str, str]:
        """``headers``, of an answer for the decoded ``path``, with what the site says about them.

        What is about a file's content or about copies of it is not for answers that are something else: a
        missing script must not be kept for a year because scripts are.
        """
        untouched = SERVERS_OWN
        if status == 304:
            untouched |= _OF_THE_CONTENT
        elif status not in (200, 206):
            untouched |= _OF_THE_CONTENT | _OF_COPIES
        named = {name.lower(): (name, value) for name, value in headers.items()}
        for block, pattern in zip(self.blocks, self._patterns, strict=True):
            if pattern.fullmatch(path):
                _apply_block(block, untouched, named)
        return dict(named.values())


NO_HEADER_RULES = HeaderRules(())


def _apply_block(block: HeaderBlock, untouched: frozenset[str], named: dict[str, tuple[str, str]]) -> None:
    for name in block.removed:
        if name.lower() not in untouched | _NOT_REMOVABLE:
            named.pop(name.lower(), None)
    for name, value in block.headers.items():
        key = name.lower()
        if key == "vary":
            named[key] = "Vary", _joined(named.get(key, ("", ""))[1], value)
        elif key not in untouched:
            named[key] = name, value


def _joined(ours: str, theirs: str) -> str:
    """Both lists: without ours a cache would hand out one encoding for all."""
    members = {member.strip().lower(): member.strip() for member in f"{ours},{theirs}".split(",")}
    return ", ".join(member for member in members.values() if member)


def _pattern(path: str) -> re.Pattern[str]:
    """What ``path`` is for: ``:name`` is a segment, ``*`` (one at most) anything, a final slash no matter.

    Linear in a request's path, as no two parts of it can stand for the same characters.
    """
    if path.endswith("/*"):
        return re.compile(_segments(path.removesuffix("/*")) + r"(?:/.*)?")
    return re.compile(_segments(path.rstrip("/")) + "/?")


def _segments(path: str) -> str:
    return "/".join("[^/]+" if text.startswith(":") else _literal(text) for text in path.split("/"))


def _literal(text: str) -> str:
    before, star, after = text.partition("*")
    return re.escape(unquote(before)) + (".*" if star else "") + re.escape(unquote(after))
