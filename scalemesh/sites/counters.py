"""What the serving path did, counted: plain attributes that only ever grow."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Answers with a file by where its bytes came from, and routes by whether the database was asked."""

    hot: int = 0
    """Answered from prepared bytes, without aiohttp's objects; 304 included."""
    hot_not_modified: int = 0
    """Of these, the 304."""
    hot_bytes: int = 0
    """Heads and bodies."""
    memory: int = 0
    disk: int = 0
    store: int = 0
    routes_known: int = 0
    routes_asked: int = 0
    routes_stale: int = 0
    """Of those asked, how often the database gave no answer and the last one did."""
