"""Lines and batches, as they travel in Redis, in the archive and to clients."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from scalemesh.model import LogLine

# A frame that even a slow link takes within the time after which a console counts as not reading.
BATCH_MAX_CHARS = 64 * 1024

# One encoder for all: ``json.dumps`` with options makes a new one each time.
encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def line_from(data: dict[str, Any]) -> LogLine:
    """Raises KeyError, TypeError or ValueError where ``data`` is not a line."""
    return LogLine(
        seq=int(data["seq"]),
        time=str(data["time"]),
        stream=str(data["stream"]),
        phase=str(data["phase"]),
        text=str(data["text"]),
    )


def line_shape(line: LogLine) -> dict[str, Any]:
    """What ``line_from`` reads."""
    return {
        "seq": line.seq,
        "time": line.time,
        "stream": line.stream,
        "phase": line.phase,
        "text": line.text,
    }


@dataclass(frozen=True)
class Batch:
    """Lines that follow one another. Never empty. Encoded once, however many watchers it goes to."""

    lines: Sequence[LogLine]

    @property
    def first(self) -> int:
        return self.lines[0].seq

    @property
    def last(self) -> int:
        return self.lines[-1].seq

    @cached_property
    def frame(self) -> bytes:
        """As a WebSocket carries it."""
        return encode_json({"type": "lines", "lines": [line_shape(line) for line in self.lines]}).encode()

    def after(self, seq: int) -> "Batch | None":
        """What of it comes after ``seq``."""
        if self.first > seq:
            return self
        rest = [line for line in self.lines if line.seq > seq]
        return Batch(rest) if rest else None


@dataclass(frozen=True, slots=True)
class Gap:
    """Lines ``first`` to ``last`` were cut from the log, or never reached Redis."""

    first: int
    last: int


def with_gaps(lines: Iterable[LogLine], after: int, *, batch_lines: int = 500) -> Iterator[Batch | Gap]:
    """Consecutive lines in batches, and a Gap wherever the numbers jump."""
    pending: list[LogLine] = []
    chars = 0
    for line in lines:
        if line.seq <= after:
            continue
        jumps = line.seq > after + 1
        if pending and (jumps or len(pending) == batch_lines or chars + len(line.text) > BATCH_MAX_CHARS):
            yield Batch(pending)
            pending, chars = [], 0
        if jumps:
            yield Gap(after + 1, line.seq - 1)
        pending.append(line)
        chars += len(line.text)
        after = line.seq
    if pending:
        yield Batch(pending)
