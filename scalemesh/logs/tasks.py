"""How this room ends the tasks it owns."""

import asyncio
from typing import Any

_AGAIN_S = 0.5


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel them until they have ended; what they raise is dropped.

    Once is not always enough: before Python 3.12 ``asyncio.wait_for``, which redis-py writes and reads with,
    loses a cancel that comes together with its result (https://github.com/python/cpython/issues/86296).
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
