"""Bytes that a process wrote to lines of plain text: SGR colours stay, every other control goes.

Everything is done on whole lines, so it does not matter where a write or a read cut the stream.
"""

import re
import time
from collections.abc import Callable

MAX_LINE_BYTES = 8 * 1024
"""Of a line of the log, as UTF-8. A browser lays out longer lines badly, and nobody reads them."""

CUT_MARKER = "… [line cut at 8 KiB]"

RAW_LINE_BYTES = 4 * MAX_LINE_BYTES
"""Kept of a line before it is cleaned: colours and dropped sequences come on top of the visible text."""

PROGRESS_S = 5.0
"""A state of a line that is written over and over is shown no more often: each stays in the log as a line."""

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_CONTROLS = re.compile(
    r"(\x1b\[[0-9;:]*m)"  # SGR, the one sequence that is kept
    r"|(?:\x1b\[|\x9b)[\x30-\x3f]*[\x20-\x2f]*[\x40-\x7e]?"  # CSI: cursor, erase, modes
    # OSC, DCS, SOS, PM, APC: titles, links, the clipboard. Up to BEL, ST, or the end of the line.
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[\x20-\x2f]*[\x30-\x7e]?"  # other escapes
    rf"|[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029{_BIDI}]"
)
_PLAIN_SGR = re.compile(r"\x1b\[(?:0|[1-9][0-9]{0,2})(?:;(?:0|[1-9][0-9]{0,2})){0,15}m")
_MAX_SGR_CODES = 16
_SURROGATES = re.compile("[\ud800-\udfff]")
_BROKEN_SGR_END = re.compile(r"\x1b(?:\[[0-9;:]*)?\Z")


def clean(text: str) -> str:
    """``text`` of one line without controls other than tab and SGR colours. Linear in its length."""
    if text.isprintable():
        return text
    text = _CONTROLS.sub(lambda match: _normal(match[1]) if match[1] else "", text)
    return _SURROGATES.sub("\ufffd", text)


def _normal(sgr: str) -> str:
    """The one spelling of a colour that every reader knows: numbers with ``;`` between them."""
    if _PLAIN_SGR.fullmatch(sgr):
        return sgr
    codes = [code for part in sgr[2:-1].split(";") for code in _codes(part)]
    return f"\x1b[{';'.join(codes[:_MAX_SGR_CODES])}m" if codes else ""


def _codes(part: str) -> list[str]:
    """Of one parameter, which may have others of its own after colons: a colour, or a kind of underline."""
    first, *rest = [number.lstrip("0")[:4] or "0" for number in part.split(":")]
    if not rest:
        return [first] if len(first) <= 3 else []
    match first:
        case "4":
            return ["24" if rest[0] == "0" else "4"]
        case "38" | "48" if rest[0] == "5" and len(rest) == 2:
            return [first, *rest]
        case "38" | "48" if rest[0] == "2" and len(rest) in (4, 5):
            return [first, "2", *rest[-3:]]
        case _:
            return []


def cut(text: str) -> str:
    """``text``, or its first ``MAX_LINE_BYTES`` and a marker that says so. Never cuts within a colour."""
    if len(text) * 4 <= MAX_LINE_BYTES:
        return text
    encoded = text.encode()
    if len(encoded) <= MAX_LINE_BYTES:
        return text
    kept = encoded[:MAX_LINE_BYTES].decode(errors="ignore")
    return _BROKEN_SGR_END.sub("", kept) + CUT_MARKER


class LineReader:
    """Splits a byte stream into finished lines: decoded, cleaned, masked, cut.

    A lone ``\\r`` starts the line again, as a progress bar means it: the line that is shown is the one that
    was there at its end. Until then its state becomes a line of its own every ``PROGRESS_S`` seconds, since
    a line that was sent can't be changed and one that is kept for minutes looks like a build that hangs.
    Memory stays flat whatever the length of a line. ``mask`` is given each clean line;
    ``longest_secret_bytes`` is how much more of a line is kept, so that a secret which begins before the
    cut is seen whole. ``now`` is in seconds.
    """

    def __init__(
        self,
        mask: Callable[[str], str],
        longest_secret_bytes: int = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mask = mask
        self._now = now
        self._limit = RAW_LINE_BYTES + longest_secret_bytes
        self._line = bytearray()
        self._overflowed = False
        self._returned = False
        self._open = False
        self._before: tuple[bytes, bool] | None = None  # what the line was until it was written over
        self._shown = ""
        self._shown_at = 0.0

    def feed(self, data: bytes) -> list[str]:
        *ends, rest = data.split(b"\n")
        lines = []
        for piece in ends:
            if self._open or b"\r" in piece:
                self._append(piece)
                lines.append(self._take())
            else:
                lines.append(self._text(piece[: self._limit], len(piece) > self._limit))
        if rest and not self._open:
            self._shown, self._shown_at = "", self._now()
        self._append(rest)
        return lines + self._progress()

    def finish(self) -> list[str]:
        """What is left where the stream ends without a newline."""
        return [self._take()] if self._open else []

    def _append(self, piece: bytes) -> None:
        if not piece:
            return
        self._open = True
        for index, segment in enumerate(piece.split(b"\r")):
            self._returned = self._returned or index > 0
            if not segment:
                continue
            if self._returned:
                self._before = bytes(self._line), self._overflowed
                self._line.clear()
                self._overflowed = self._returned = False
            room = self._limit - len(self._line)
            self._overflowed = self._overflowed or len(segment) > room
            self._line += segment[:room]

    def _progress(self) -> list[str]:
        """The last whole state of a line that is written over, where it is time to show one."""
        state = (bytes(self._line), self._overflowed) if self._returned else self._before
        if state is None or self._now() - self._shown_at < PROGRESS_S:
            return []
        before, self._shown = self._shown, self._text(*state)
        self._shown_at = self._now()
        return [self._shown] if self._shown != before else []

    def _take(self) -> str:
        line = self._text(bytes(self._line), self._overflowed)
        self._line.clear()
        self._overflowed = self._returned = self._open = False
        self._before = None
        return line

    def _text(self, raw: bytes, overflowed: bool) -> str:
        text = self._mask(clean(raw.decode(errors="replace")))
        line = cut(text)
        return text + CUT_MARKER if overflowed and line is text else line
