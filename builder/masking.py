"""Secrets that must not reach a log line, whatever prints them."""

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

from builder.text import clean

MASK = "***"

MIN_SECRET_CHARS = 4
"""Shorter values are words such as ``1`` or ``on``: masking them would destroy the log and hide nothing."""

MIN_ENCODED_SECRET_BYTES = 8
"""A shorter value has too few characters in base64 that are its own, whatever stands before it."""

_USERINFO = re.compile(r"(://)[^\s/?#]*@")
_QUERY_TOKEN = re.compile(
    r"([?&](?:[a-z]+[_-])*(?:token|secret|password|signature|api_?key)=)[^\s&#\"'<>]+", re.IGNORECASE
)
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,64}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,64}PRIVATE KEY(?: BLOCK)?-----")

MAX_KEY_LINES = 400
"""The longest key of any use has some two hundred; what never ends must not hide the rest of a log."""


def secret_patterns(values: Iterable[str]) -> list[str]:
    """What to look for: every value and each line of it, as printed and as encoded; the longest first."""
    found: set[str] = set()
    for value in values:
        for line in (value, *value.splitlines()):
            found.update((line, line.strip(), clean(line)))
        if len(value) >= MIN_SECRET_CHARS:
            found.update(_encoded(value))
            if value.strip() != value:
                found.update(_encoded(value.strip()))
    return sorted((text for text in found if len(text) >= MIN_SECRET_CHARS), key=len, reverse=True)


def _encoded(value: str) -> Iterator[str]:
    """As URLs, JSON and base64 spell it, the last also with something before it."""
    yield from (quote(value), quote(value, safe=""), quote_plus(value), quote_plus(value, safe=""))
    yield from (text.replace("%", "%25") for text in (quote(value, safe=""),))
    yield value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    data = value.encode()
    if len(data) < MIN_ENCODED_SECRET_BYTES:
        return
    for before in range(3):
        # Of the first and the last character that it shares with its neighbours, nothing is known.
        start = (before * 8 + 5) // 6
        end = (before + len(data)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"\0" * before + data).decode()[start:end]


def masker(patterns: Iterable[str]) -> Callable[[str], str]:
    """A function that masks ``patterns``, and in URLs userinfo and tokens, in one whole line."""
    alternatives = "|".join(re.escape(pattern) for pattern in patterns)
    secrets = re.compile(alternatives) if alternatives else None

    def mask(line: str) -> str:
        if secrets is not None:
            line = secrets.sub(MASK, line)
        if "://" in line:
            line = _USERINFO.sub(rf"\1{MASK}@", line)
        if "=" in line:
            line = _QUERY_TOKEN.sub(rf"\1{MASK}", line)
        return line

    return mask


class PrivateKeys:
    """Masks private keys, which nobody has to name as a variable. One a stream: a key has many lines."""

    def __init__(self) -> None:
        self._lines_left = 0

    def mask(self, line: str) -> str:
        if not self._lines_left and "PRIVATE KEY" not in line:
            return line
        masked = []
        while line:
            if not self._lines_left:
                begin = _KEY_BEGINS.search(line)
                if begin is None:
                    masked.append(line)
                    break
                masked += [line[: begin.start()], MASK]
                line = line[begin.end() :]
                self._lines_left = MAX_KEY_LINES
            end = _KEY_ENDS.search(line)
            if end is None:
                self._lines_left -= 1
                break
            line, self._lines_left = line[end.end() :], 0
        return "".join(masked) or MASK
