"""What of a request may change a site's answer, and nothing else: no cookie, no address, no body."""

import re
from dataclasses import dataclass

from multidict import MultiMapping

ASKING = {
    "accept_encoding": "Accept-Encoding",
    "if_none_match": "If-None-Match",
    "if_modified_since": "If-Modified-Since",
    "if_range": "If-Range",
    "range": "Range",
}
"""Every header that may change an answer, by its field below; ``heads`` tells requests apart by these."""

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SiteRequest:
    """``path`` and ``query`` are as they came, undecoded. A header that was not sent is ``""``."""

    method: str
    path: str
    query: str = ""
    accept_encoding: str = ""
    if_none_match: str = ""
    if_modified_since: str = ""
    if_range: str = ""
    range: str = ""

    @classmethod
    def of(cls, method: str, target: str, headers: MultiMapping[str]) -> "SiteRequest":
        """``target`` is the request line's, in origin form or, its host having been looked at, absolute form.

        A header sent in several lines is their list, RFC 9110 5.3.
        """
        return cls.asking(method, target, *(joined(headers, name) for name in ASKING.values()))

    @classmethod
    def asking(cls, method: str, target: str, *asked: str) -> "SiteRequest":
        """``asked`` are the values of ``ASKING``, in its order."""
        return cls(method, *_split_target(target), *asked)


def joined(headers: MultiMapping[str], name: str) -> str:
    """The header's value, ``""`` where it was not sent."""
    return ", ".join(headers.getall(name, ()))


def _split_target(target: str) -> tuple[str, str]:
    if origin := _ORIGIN.match(target):
        target = target[origin.end() :]
        target = target if target.startswith("/") else f"/{target}"
    path, _, query = target.partition("#")[0].partition("?")
    return path, query
