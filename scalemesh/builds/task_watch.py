"""One poller for all tasks that this server follows: a hundred a call, and ECS's own delays in mind."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from scalemesh.builds.tasks import FORGOTTEN, TaskEnd, task_end

logger = logging.getLogger(__name__)

DESCRIBED_AT_ONCE = 100
"""ECS's limit for one DescribeTasks."""

POLL_S = 2.0
"""An end is seen after one second on average; 500 tasks are 2.5 calls a second, of the 20 that ECS allows."""

LONGEST_PAUSE_S = 30.0
"""Between two tries while ECS does not answer."""

MISSING_S = 60.0
"""A task that ECS does not know this long is gone. It forgets a stopped one after an hour, and may not know
one for some seconds after RunTask."""

Describe = Callable[[Sequence[str]], Awaitable[dict[str, Any]]]

AWAY = (BotoCoreError, ClientError, TimeoutError, OSError)


class TaskWatch:
    """The ends of tasks by their ARN. ``container`` is the builder's name in the task."""

    def __init__(
        self, describe: Describe, container: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._describe = describe
        self._container = container
        self._clock = clock
        self._followed: dict[str, set[asyncio.Future[TaskEnd]]] = {}
        self._missing: dict[str, float] = {}

    def follow(self, arn: str) -> "asyncio.Future[TaskEnd]":
        """Done at the task's end. Each follower's own, for ``leave``."""
        future: asyncio.Future[TaskEnd] = asyncio.get_running_loop().create_future()
        self._followed.setdefault(arn, set()).add(future)
        return future

    def leave(self, arn: str, future: "asyncio.Future[TaskEnd]") -> None:
        """Whoever was given ``future`` waits no longer."""
        future.cancel()
        followers = self._followed.get(arn, set())
        followers.discard(future)
        if not followers:
            self._forget(arn)

    async def run(self, poll_s: float = POLL_S) -> None:
        """Sweeps for ever."""
        pause_s = poll_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.sweep()
                pause_s = poll_s
            except AWAY as error:
                pause_s = min(LONGEST_PAUSE_S, pause_s * 2) * random.uniform(0.5, 1.0)  # noqa: S311
                logger.warning("ECS does not say what tasks do, asking again in %.0f s: %s", pause_s, error)
            except Exception:
                logger.exception("looking after tasks broke, and goes on")

    async def sweep(self) -> None:
        """Look once at every task that is followed. Raises ``AWAY``."""
        arns = list(self._followed)
        for start in range(0, len(arns), DESCRIBED_AT_ONCE):
            batch = arns[start : start + DESCRIBED_AT_ONCE]
            answer = await self._describe(batch)
            found = {task["taskArn"]: task for task in answer["tasks"]}
            for arn in batch:
                self._note(arn, found.get(arn))

    def _note(self, arn: str, task: dict[str, Any] | None) -> None:
        if task is None:
            since = self._missing.setdefault(arn, self._clock())
            end = FORGOTTEN if self._clock() - since > MISSING_S else None
        else:
            self._missing.pop(arn, None)
            end = task_end(task, self._container)
        if end is not None:
            for future in self._forget(arn):
                if not future.done():
                    future.set_result(end)

    def _forget(self, arn: str) -> "set[asyncio.Future[TaskEnd]]":
        self._missing.pop(arn, None)
        return self._followed.pop(arn, set())
