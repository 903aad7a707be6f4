"""What watchers would have heard, had nothing been lost on the way: asked for once for all of a process."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError

from scalemesh.db import deployments, sessions
from scalemesh.db.pool import UNAVAILABLE, Pool
from scalemesh.errors import DeploymentNotFound
from scalemesh.logs.hub import Hub, WatchEnded
from scalemesh.logs.stream import last_seqs
from scalemesh.model import DeploymentID
from scalemesh.tasks import end_tasks

logger = logging.getLogger(__name__)

# Events and publications are hints. What one of them should have told is found after two looks at most.
LOOK_S = 2.5


class Looks:
    """Two queries and a pipeline, however many watch."""

    def __init__(self, pool: Pool, redis: Redis, hub: Hub) -> None:
        self._pool = pool
        self._redis = redis
        self._hub = hub

    async def run(self) -> None:
        """For ever; cancel it."""
        written: Mapping[DeploymentID, int] = {}
        while True:
            await asyncio.sleep(LOOK_S)
            if not self._hub.watches:
                continue
            try:
                await self._at_rows()
            except UNAVAILABLE as error:
                logger.warning("the status of builds can't be read now: %s", error)
            except Exception:
                logger.exception("a look at the status of builds broke")
            try:
                written = await self._at_streams(written)
            except RedisError as error:
                logger.warning("live logs can't be looked at now: %s", error)

    async def _at_rows(self) -> None:
        """Whose session or deployment is gone reads no further; the others are told a new status."""
        before = [(watch, watch.status) for watch in self._hub.watches]
        alive = await sessions.list_alive(self._pool, {bytes.fromhex(watch.session) for watch, _ in before})
        statuses = await deployments.list_statuses(self._pool, {watch.deployment_id for watch, _ in before})
        for watch, known in before:
            status = statuses.get(watch.deployment_id)
            if bytes.fromhex(watch.session) not in alive:
                watch.end(WatchEnded())
            elif status is None:
                watch.end(DeploymentNotFound())
            elif known is not None and known is watch.status is not status:
                # Where it heard one meanwhile, or asks for its first, that may be the newer one.
                watch.put(status)

    async def _at_streams(self, before: Mapping[DeploymentID, int]) -> Mapping[DeploymentID, int]:
        """Who lacks what the stream had at the look before reads it again. Returns what it has now."""
        watches = self._hub.watches
        for watch in watches:
            if watch.cursor < before.get(watch.deployment_id, 0):
                watch.resync()
        return await last_seqs(self._redis, {watch.deployment_id for watch in watches})


@asynccontextmanager
async def looks(pool: Pool, redis: Redis, hub: Hub) -> AsyncIterator[None]:
    task = asyncio.create_task(Looks(pool, redis, hub).run(), name="log looks")
    try:
        yield
    finally:
        await end_tasks(task)
