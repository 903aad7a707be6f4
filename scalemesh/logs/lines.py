"""Lines and batches, as they travel in Redis, in the archive and to clients."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from scalemesh.model import LogLine

# A frame that even a slow link takes within the time after which a console counts as not reading.
BATCH_MAX_BYTES = 64 * 1024

# One encoder for all: ``json.dumps`` with options makes a new one each time.
encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_quoted = json.encoder.encode_basestring

# A line's number, and the line as clients get it: a JSON object of ``seq``, ``time``, ``stream``, ``phase``
# and ``text``.
Row = tuple[int, bytes]


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


def row_from(data: dict[str, Any]) -> Row:
    """From what ``line_from`` reads, and without the way over it: this runs for each line of each build.

    Raises KeyError, TypeError or ValueError.
    """
    # Half a surrogate pair, which JSON can hold and UTF-8 can't, is nothing that the builder writes.
    seq = int(data["seq"])
    row = (
        f'{{"seq":{seq},"time":{_quoted(data["time"])},"stream":{_quoted(data["stream"])},'
        f'"phase":{_quoted(data["phase"])},"text":{_quoted(data["text"])}}}'
    )
    return seq, row.encode(errors="replace")


def parse_rows(rows: Iterable[bytes]) -> list[Any]:
    """What each of ``rows`` is in JSON: one call for many takes half the time of one for each.

    Raises ValueError.
    """
    parsed: list[Any] = json.loads(f"[{b','.join(rows).decode()}]")
    return parsed


@dataclass(frozen=True)
class Batch:
    """Lines ``first`` to ``last``, each as in ``Row``. Never empty.

    Encoded once, however many watchers it goes to; those of a whole log take little more than its bytes.
    """

    first: int
    rows: tuple[bytes, ...]

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1

    @property
    def texts(self) -> list[str]:
        """The lines alone, colours and all."""
        return [line["text"] for line in parse_rows(self.rows)]

    @cached_property
    def shape(self) -> bytes:
        """The JSON of a frame."""
        return b'{"type":"lines","lines":[' + b",".join(self.rows) + b"]}"

    @cached_property
    def frame(self) -> bytes:
        """The same as a WebSocket carries it, header and all: one text frame, not masked, not compressed."""
        size = len(self.shape)
        if size < 126:
            return b"\x81" + size.to_bytes(1) + self.shape
        if size < 1 << 16:
            return b"\x81\x7e" + size.to_bytes(2) + self.shape
        return b"\x81\x7f" + size.to_bytes(8) + self.shape

    def after(self, seq: int) -> "Batch | None":
        """What of it comes after ``seq``."""
        if self.first > seq:
            return self
        return Batch(seq + 1, self.rows[seq + 1 - self.first :]) if self.last > seq else None

    def up_to(self, seq: int) -> "Batch":
        """What of it does not; ``seq`` is at least ``first``."""
        return Batch(self.first, self.rows[: seq + 1 - self.first])


@dataclass(frozen=True, slots=True)
class Gap:
    """Lines ``first`` to ``last`` were cut from the log, or never reached Redis."""

    first: int
    last: int

    def after(self, seq: int) -> "Gap | None":
        return Gap(max(self.first, seq + 1), self.last) if self.last > seq else None


def with_gaps(rows: Iterable[Row], after: int, *, batch_lines: int = 500) -> Iterator[Batch | Gap]:
    """Consecutive lines in batches, and a Gap wherever the numbers jump.

    A batch is made as soon as its rows have been read, and one row more.
    """
    pending: list[bytes] = []
    size = 0
    for seq, row in rows:
        if seq <= after:
            continue
        jumps = seq > after + 1
        if pending and (jumps or len(pending) == batch_lines or size + len(row) > BATCH_MAX_BYTES):
            yield Batch(after + 1 - len(pending), tuple(pending))
            pending, size = [], 0
        if jumps:
            yield Gap(after + 1, seq - 1)
        pending.append(row)
        size += len(row)
        after = seq
    if pending:
        yield Batch(after + 1 - len(pending), tuple(pending))
