"""A rule file as numbered lines of text."""

import re
from collections.abc import Iterator

MAX_LINE_CHARS = 2_000

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_SHOWN_CHARS = 80


class BadLine(Exception):
    """``str(error)`` says why, without a full stop."""


def numbered_lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Each line that is neither blank nor a comment, with its number in the file, counted from 1."""
    for number, line in enumerate(content.removeprefix(_BYTE_ORDER_MARK).split(b"\n"), start=1):
        bare = line.strip(b" \t\r")
        if bare and not bare.startswith(b"#"):
            yield number, bare


def read_line(line: bytes) -> str:
    """``line`` as text. Raises ``BadLine``."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise BadLine("it is not UTF-8") from None
    if len(text) > MAX_LINE_CHARS:
        raise BadLine(f"it has {len(text):,} characters, and the limit is {MAX_LINE_CHARS:,}")
    if _CONTROLS.search(text):
        raise BadLine("it has a control character")
    return text


def report(file: str, number: int, why: str) -> str:
    return f"{file}, line {number:,}: {why}."


def skipped(file: str, number: int, why: object) -> str:
    return report(file, number, f"skipped, as {why}")


def shown(text: str) -> str:
    """``text`` as a sentence may quote it."""
    return f'"{text[:_SHOWN_CHARS]}…"' if len(text) > _SHOWN_CHARS else f'"{text}"'
