"""Secrets that must not reach a log line, whatever prints them."""

import re
from collections.abc import Callable, Iterable

from builder.text import clean

MASK = "***"

MIN_SECRET_CHARS = 4
"""Shorter values are words such as ``1`` or ``on``: masking them would destroy the log and hide nothing."""

_USERINFO = re.compile(r"(://)[^\s/?#]*@")


def secret_patterns(values: Iterable[str]) -> list[str]:
    """What to look for: every value and each line of it, as printed and as cleaned; the longest first."""
    found: set[str] = set()
    for value in values:
        for line in (value, *value.splitlines()):
            found.update((line, line.strip(), clean(line)))
    return sorted((text for text in found if len(text) >= MIN_SECRET_CHARS), key=len, reverse=True)


def masker(patterns: Iterable[str]) -> Callable[[str], str]:
    """A function that masks ``patterns`` and the userinfo of URLs in one whole line."""
    alternatives = "|".join(re.escape(pattern) for pattern in patterns)
    secrets = re.compile(alternatives) if alternatives else None

    def mask(line: str) -> str:
        if secrets is not None:
            line = secrets.sub(MASK, line)
        if "://" in line:
            line = _USERINFO.sub(rf"\1{MASK}@", line)
        return line

    return mask
