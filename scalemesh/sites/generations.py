"""A bounded dict for where a look-up must cost no more than a dict's."""

from collections.abc import Callable, Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Generations(dict[K, V]):
    """What was used last, of at most ``max_bytes`` together, as ``size`` counts an entry.

    Read it by subscript: None where there is nothing. A hit is a dict's own and moves nothing. The dict is
    the young half; when it is full it becomes the old one, and what is found there is young again. So what
    was not used for half a cache's worth of newcomers is forgotten. Written by ``put`` alone.
    """

    def __init__(self, max_bytes: int, size: Callable[[K, V], int]) -> None:
        super().__init__()
        self._half = max_bytes // 2
        self._size = size
        self._old: dict[K, V] = {}
        self._young_bytes = 0

    def __missing__(self, key: K) -> V | None:
        found = self._old.get(key)
        if found is not None:
            self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        """An entry of more than half of it all is not kept."""
        size = self._size(key, value)
        if size > self._half:
            return
        replaced = self.pop(key, None)
        if replaced is not None:
            self._young_bytes -= self._size(key, replaced)
        if self._young_bytes + size > self._half:
            self._old = dict(self)
            self.clear()
            self._young_bytes = 0
        # Or it would come back, old, once this one is forgotten.
        self._old.pop(key, None)
        self[key] = value
        self._young_bytes += size
