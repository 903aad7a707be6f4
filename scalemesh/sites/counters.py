"""What the serving path did, counted: plain attributes that only ever grow."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Answers with a file by where its bytes came from, and routes by whether the database was asked."""

    hot: Counter[int] = field(default_factory=Counter)
    """Answered from prepared bytes, without aiohttp's objects, by status."""
    hot_bytes: int = 0
    """Heads and bodies."""
    memory: int = 0
    disk: int = 0
    store: int = 0
    routes_known: int = 0
    routes_asked: int = 0
    routes_stale: int = 0
    """Of those asked, how often the database gave no answer and the last one did."""

    def count_hot(self, status: int, answers: int, size_bytes: int) -> None:
        self.hot[status] += answers
        self.hot_bytes += size_bytes
