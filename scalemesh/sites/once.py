"""Many who miss the same thing at the same moment cost one fetch of it."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Once(Generic[K, V]):
    """Whoever asks first makes the value; those who ask meanwhile wait for it. Nothing is remembered."""

    def __init__(self) -> None:
        self._under_way: dict[K, asyncio.Future[tuple[V] | None]] = {}

    async def get(self, key: K, make: Callable[[], Awaitable[V]]) -> V:
        """What ``make`` gives. What it raises goes to everybody who waited."""
        while (waited_for := self._under_way.get(key)) is not None:
            # Shielded: one visitor who leaves must not take the result from the others.
            made = await asyncio.shield(waited_for)
            if made is not None:
                return made[0]
        making: asyncio.Future[tuple[V] | None] = asyncio.get_running_loop().create_future()
        self._under_way[key] = making
        try:
            value = await make()
        except Exception as error:
            making.set_exception(error)
            making.exception()  # looked at: it may be that nobody else waits for it
            raise
        else:
            making.set_result((value,))
            return value
        finally:
            del self._under_way[key]
            if not making.done():
                # This visitor left in the middle. One of those who wait begins again.
                making.set_result(None)
