"""One call for all who ask for the same thing meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Shared(Generic[K, V]):
    """The answer, or what was raised, goes to each of them. Nothing is kept once it is there."""

    def __init__(self) -> None:
        self._calls: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K, call: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """What ``call()`` returns, or the call under ``key`` that is under way."""
        running = self._calls.get(key)
        if running is None:
            running = asyncio.create_task(call())
            self._calls[key] = running

            def forget(done: asyncio.Task[V]) -> None:
                del self._calls[key]
                if not done.cancelled():
                    done.exception()  # those who wait get it; where all have left it is nobody's

            running.add_done_callback(forget)
        return await asyncio.shield(running)
