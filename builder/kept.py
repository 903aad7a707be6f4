"""The part of a log that is kept: its beginning and its end, in bounded memory."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builder.log import Line

MIB = 1024 * 1024

HEAD_BYTES = 1 * MIB
HEAD_LINES = 50_000
TAIL_BYTES = 3 * MIB
TAIL_LINES = 150_000
"""4 MiB or 200,000 lines in all. The beginning says what was run, the end says what went wrong."""


class KeptLines:
    """The first ``HEAD_…`` and the last ``TAIL_…`` of all lines that are added."""

    def __init__(self) -> None:
        self.head: list[Line] = []
        self.tail: deque[Line] = deque()
        self._head_bytes = 0
        self._tail_bytes = 0
        self._head_full = False
        self._dropped_lines = 0
        self._dropped_bytes = 0

    @property
    def is_cut(self) -> bool:
        return self._dropped_lines > 0

    def add(self, line: Line) -> None:
        size = line.text_bytes
        if not self._head_full and self._head_bytes + size <= HEAD_BYTES and len(self.head) < HEAD_LINES:
            self.head.append(line)
            self._head_bytes += size
            return
        self._head_full = True
        self.tail.append(line)
        self._tail_bytes += size
        while self._tail_bytes > TAIL_BYTES or len(self.tail) > TAIL_LINES:
            dropped = self.tail.popleft().text_bytes
            self._tail_bytes -= dropped
            self._dropped_lines += 1
            self._dropped_bytes += dropped

    def marker(self) -> str:
        return (
            f"… {self._dropped_lines:,} lines ({self._dropped_bytes / MIB:.1f} MiB) are left out here: "
            "a log keeps its first 1 MiB and its last 3 MiB …"
        )
