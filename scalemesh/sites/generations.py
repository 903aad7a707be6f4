"""A bounded dict for where a look-up must cost no more than a dict's."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Generations(Generic[K, V]):
    """What was used last, of at most ``max_bytes`` together, as ``size`` counts an entry.

    A hit moves nothing: when the young half is full it becomes the old one, and what is found there is
    young again. So what was not used for half a cache's worth of newcomers is forgotten.
    """

    def __init__(self, max_bytes: int, size: Callable[[K, V], int]) -> None:
        self._half = max_bytes // 2
        self._size = size
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._young_bytes = 0

    def get(self, key: K) -> V | None:
        found = self._young.get(key)
        if found is not None:
            return found
        found = self._old.get(key)
        if found is not None:
            self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        """An entry of more than half of it all is not kept."""
        size = self._size(key, value)
        if size > self._half:
            return
        replaced = self._young.pop(key, None)
        if replaced is not None:
            self._young_bytes -= self._size(key, replaced)
        if self._young_bytes + size > self._half:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        # Or it would come back, old, once this one is forgotten.
        self._old.pop(key, None)
        self._young[key] = value
        self._young_bytes += size

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
