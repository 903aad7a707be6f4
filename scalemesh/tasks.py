"""How tasks end, those that somebody owns and work that a cancel must not leave half done; and processes."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")

_AGAIN_S = 0.5

RESTART_S = 0.25
"""Builds and requests wait for it meanwhile."""

RESTART_MAX_S = 30.0
"""For what can't go on, as on a full disk: often enough to be back soon after the cause is gone."""

STEADY_S = 10.0
"""What ran this long has started well; its next end is the first of a new row."""


class Pauses:
    """How long to wait before a process that ended by itself is started again: longer each time."""

    def __init__(self) -> None:
        self._next_s = RESTART_S

    def after(self, ran_s: float) -> float:
        """The seconds to wait once it has ended ``ran_s`` after its start."""
        pause_s = RESTART_S if ran_s > STEADY_S else self._next_s
        self._next_s = min(2 * pause_s, RESTART_MAX_S)
        return pause_s


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel them until they have ended; what they raise is dropped.

    Once is not always enough: before Python 3.12 ``asyncio.wait_for``, which redis-py writes and reads with,
    loses a cancel that comes together with its result (https://github.com/python/cpython/issues/86296).
    So a task that has something to do after its cancel does it in ``to_its_end``.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """``work`` goes on beside the block, which may await it; it is canceled where the block ends first."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await end_tasks(task)


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives or raises, however often the caller is canceled meanwhile.

    Those cancels are dropped: for a caller that is ending already.
    """
    task = asyncio.create_task(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    return task.result()
