"""How tasks end: those that somebody owns, and work that a cancel must not leave half done."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

_AGAIN_S = 0.5


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


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives or raises, however often the caller is canceled meanwhile.

    Those cancels are dropped: for a caller that is ending already.
    """
    task = asyncio.create_task(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    return task.result()
