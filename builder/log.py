"""The build's log: every line numbered, sent live, and kept for the log object."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from builder.kept import KeptLines
from builder.masking import PrivateKeys
from builder.text import LineReader, clean, cut

WAITS = (
    "… This log is longer than 4 MiB or 200,000 lines. The build goes on, and what it prints from here on is "
    "shown when it ends: the last 3 MiB of it …"
)
"""Whoever watches must not take a log that stands still for a build that does."""


class Phase(StrEnum):
    CLONE = "clone"
    DETECT = "detect"
    INSTALL = "install"
    BUILD = "build"
    COLLECT = "collect"
    UPLOAD = "upload"
    PUBLISH = "publish"


class Stream(StrEnum):
    STDOUT = "stdout"
    STDERR = "stderr"
    SYSTEM = "system"
    """The builder's own words."""


_quoted = json.encoder.encode_basestring


@dataclass(frozen=True, slots=True)
class Origin:
    """What lines that came together share; ``time`` is RFC 3339 UTC with milliseconds."""

    time: str
    stream: Stream
    phase: Phase

    @property
    def members(self) -> str:
        """Of a JSON object."""
        return f'"time":"{self.time}","stream":"{self.stream}","phase":"{self.phase}"'


@dataclass(frozen=True, slots=True)
class Line:
    """``text`` is clean, masked and at most 8 KiB."""

    seq: int
    origin: Origin
    text: str

    @property
    def text_bytes(self) -> int:
        return len(self.text) if self.text.isascii() else len(self.text.encode())

    def to_json(self) -> str:
        """The object that goes to Redis. Built by hand: this runs for each line of ``yes``."""
        return f'{{"seq":{self.seq},{self.origin.members},"text":{_quoted(self.text)}}}'

    def to_record(self) -> str:
        """The line of the log object."""
        return '{"type":"line",' + self.to_json()[1:]


class LiveLog(Protocol):
    """Where lines go while the build runs. Being away must never hold up or fail a build."""

    def send(self, lines: Sequence[Line]) -> None:
        """Takes them over; returns at once."""

    async def close(self, timeout_s: float, *, archived_attempt: int | None = None) -> None:
        """Gives what was taken over ``timeout_s`` to arrive, then lets go of it.

        ``archived_attempt`` is told to the server: the log object of that attempt is stored, with its result.
        """


class BuildLog:
    """Numbers lines from ``first_seq`` up. ``mask`` is applied to whatever is written.

    Lines go out live until the log is larger than its cap. Then one last line says so, and from there on
    they wait for ``finish``, which sends the part that is kept. A gap in ``seq`` is how a cut shows.
    """

    def __init__(
        self,
        live: LiveLog,
        *,
        first_seq: int,
        mask: Callable[[str], str],
        longest_secret_bytes: int = 0,
    ) -> None:
        self._live = live
        self._mask = mask
        self._longest_secret_bytes = longest_secret_bytes
        self._next_seq = first_seq
        self._kept = KeptLines()
        self._last_live_seq = first_seq - 1
        self._waits = False

    def reader(self) -> LineReader:
        """Turns one stream of a process into lines fit for ``write``."""
        keys = PrivateKeys()
        return LineReader(lambda line: self._mask(keys.mask(line)), self._longest_secret_bytes)

    def mask(self, text: str) -> str:
        return self._mask(clean(text))

    def say(self, phase: Phase, text: str) -> None:
        """One line in the builder's own words."""
        self.write(phase, Stream.SYSTEM, [cut(self.mask(text))])

    def write(self, phase: Phase, stream: Stream, texts: list[str]) -> list[int]:
        """Takes lines that a ``reader`` made; returns their numbers."""
        if not texts:
            return []
        origin = Origin(_now(), stream, phase)
        seqs: list[int] = []
        live: list[Line] = []
        for text in texts:
            seqs.append(self._next_seq)
            self._add(origin, text, live)
            if self._kept.is_cut and not self._waits:
                self._add(replace(origin, stream=Stream.SYSTEM), WAITS, live)
                self._waits = True
        self._send(live)
        return seqs

    def _add(self, origin: Origin, text: str, live: list[Line]) -> None:
        """Keeps one more line, and appends it to ``live`` where it is to go out now."""
        line = Line(self._next_seq, origin, text)
        self._next_seq += 1
        self._kept.add(line)
        if not self._waits:
            live.append(line)

    def finish(self) -> None:
        """Sends the kept lines that were held back. Nothing may be written after it."""
        if self._kept.is_cut:
            self._send([line for line in self.lines() if line.seq > self._last_live_seq])

    def lines(self) -> Iterator[Line]:
        """The log as it is kept, in order; where it was cut, a marker has the last dropped line's seq."""
        yield from self._kept.head
        tail = self._kept.tail
        if self._kept.is_cut:
            first = tail[0]
            yield Line(first.seq - 1, replace(first.origin, stream=Stream.SYSTEM), self._kept.marker())
        yield from tail

    def _send(self, lines: Sequence[Line]) -> None:
        if lines:
            self._live.send(lines)
            self._last_live_seq = lines[-1].seq


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
