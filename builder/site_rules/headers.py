"""A path line, then the headers of its answers: ``Name: value``, and ``! Name`` to take one away."""

import re
from dataclasses import dataclass, field
from typing import Any

from builder.site_rules.lines import BadLine, numbered_lines, read_line, shown, skipped
from builder.site_rules.paths import check_path

FILE = "_headers"
MAX_BLOCKS = 100

MAX_BLOCK_CHARS = 8_000
"""Of names and values in a block: proxies commonly have 8 KiB for all headers of an answer."""

_SERVERS_OWN = frozenset(
    (
        "accept-ranges",
        "age",
        "allow",
        "alt-svc",
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
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""How an answer travels and how copies of it are compared: wrong, it is a broken or a mixed-up page."""

_NOT_REMOVABLE = frozenset({"content-type", "vary"})
"""These may be set (``Vary`` is added to), and an answer without its own would be misread."""

_PATH_LINE = re.compile(rb"/|https?://", re.IGNORECASE)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"[ -~]*", re.ASCII)


@dataclass(slots=True)
class HeaderBlock:
    """``removed`` and ``headers`` are by lowercase name; the removals come first."""

    path: str
    removed: dict[str, str] = field(default_factory=dict)
    headers: dict[str, tuple[str, str]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "remove": list(self.removed.values()),
            "set": dict(self.headers.values()),
        }

    def add(self, name: str, value: str) -> None:
        """Equal names join. Raises ``BadLine``."""
        chars = sum(len(name) + len(value) for name, value in self.headers.values())
        if chars + len(name) + len(value) > MAX_BLOCK_CHARS:
            raise BadLine(f"its block comes to more than {MAX_BLOCK_CHARS:,} characters, which is the limit")
        written, before = self.headers.get(name.lower(), (name, ""))
        self.headers[name.lower()] = written, f"{before}, {value}" if before else value

    def remove(self, name: str) -> None:
        self.headers.pop(name.lower(), None)
        self.removed[name.lower()] = name


def parse_headers(content: bytes) -> tuple[list[HeaderBlock], list[str]]:
    """The blocks of ``content`` in order, and a sentence about each line that is skipped."""
    blocks: list[HeaderBlock] = []
    reports: list[str] = []
    block: HeaderBlock | None = None
    unread = "no path line is above it"
    for number, line in numbered_lines(content):
        is_path = _PATH_LINE.match(line) is not None
        try:
            text = read_line(line)
            if not is_path:
                if block is None:
                    raise BadLine(unread)
                _parse_header(block, text)
                continue
            block, unread = None, "the path line above it was skipped"
            if len(blocks) == MAX_BLOCKS:
                reports.append(
                    f"{FILE}, line {number:,}: there are {MAX_BLOCKS} blocks above it, which is the limit. "
                    "It and what follows are skipped."
                )
                break
            if not text.startswith("/"):
                raise BadLine(f"{shown(text)} names a host, and blocks are for paths of this site")
            check_path(text)
            blocks.append(block := HeaderBlock(text))
        except BadLine as why:
            block = None if is_path else block
            reports.append(skipped(FILE, number, why))
    return blocks, reports


def _parse_header(block: HeaderBlock, text: str) -> None:
    if text.startswith("!"):
        name = text[1:].strip(" \t")
        _check_name(name)
        if name.lower() in _NOT_REMOVABLE:
            raise BadLine(f"{name} can be set, not removed")
        block.remove(name)
        return
    name, colon, value = text.partition(":")
    name, value = name.rstrip(" \t"), value.strip(" \t").replace("\t", " ")
    if not colon:
        raise BadLine(f"{shown(text)} is neither a path, nor a header with a colon")
    _check_name(name)
    if not value:
        raise BadLine(f"{name} has no value; to take it away, write ! {name}")
    if not _VALUE.fullmatch(value):
        raise BadLine(f"the value of {name} has characters that are not ASCII")
    block.add(name, value)


def _check_name(name: str) -> None:
    if not _TOKEN.fullmatch(name):
        raise BadLine(f"{shown(name)} is no name of a header")
    if name.lower() in _SERVERS_OWN:
        raise BadLine(f"{name} is the server's own to say")
    if name.lower() == "set-cookie":
        raise BadLine("Set-Cookie would be kept by caches, and give every visitor the same cookie")
    if name.lower() == "basic-auth":
        raise BadLine("Basic-Auth is not done here, and the answer would tell everybody the password")
