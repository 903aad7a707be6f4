"""The head of a request, as bytes of the wire, told apart by all that can change its answer.

Stricter than HTTP: what is unusual in any way is none of this module's business, and goes to aiohttp.
"""

import re
from functools import lru_cache
from typing import TypeAlias

from multidict import MultiMapping

from scalemesh.sites.request import ASKING, joined

END = b"\r\n\r\n"

MAX_HEAD_BYTES = 8000
"""aiohttp refuses lines over 8190."""

HeadKey: TypeAlias = tuple[str, ...]
"""Method, target, Host, and the headers of ``ASKING``."""

_ASKING = tuple(name.lower() for name in ASKING.values())

_HEAD = re.compile(
    r"(GET|HEAD) (/[!-\"$-~]*) HTTP/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*\r\n)+)\r\n",
)

_UNUSUAL = frozenset(
    {
        "content-encoding",
        "content-length",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "sec-websocket-key1",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""They bring a body, end the connection or make it another protocol's, or are refused by aiohttp."""

_PERSONAL = ("cookie", "authorization")


@lru_cache(maxsize=1)  # whoever finds nothing prepared for a head passes it on to be read again
def read_head(head: bytes) -> tuple[HeadKey, bool] | None:
    """The key of a GET or HEAD, ``END`` included, and whether anybody else might send these very bytes.

    None where aiohttp must see it: a body, an upgrade, a connection that is to end, a name said twice,
    bytes beyond ASCII, and whatever breaks the grammar.
    """
    if len(head) > MAX_HEAD_BYTES or not head.isascii():
        return None
    parts = _HEAD.fullmatch(head.decode("ascii"))
    if parts is None:
        return None
    lines = parts[3].split("\r\n")[:-1]
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip(" \t")
    if len(headers) < len(lines) or "host" not in headers or not _UNUSUAL.isdisjoint(headers):
        return None
    if headers.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    key = (parts[1], parts[2], headers["host"], *(headers.get(name, "") for name in _ASKING))
    return key, not any(name in headers for name in _PERSONAL)


def key_of(method: str, target: str, headers: MultiMapping[str]) -> HeadKey:
    """What ``read_head`` gives for this request, if it gives anything. ``target`` is as it came."""
    return (method, target, headers.get("Host", ""), *(joined(headers, name) for name in ASKING.values()))
