"""A deployment's log for one reader: what was, what comes, and the end; each line once, in order."""

import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from scalemesh.artifacts.store import ArtifactStore
from scalemesh.db import deployments
from scalemesh.db.pool import Pool
from scalemesh.logs.archive import fetch_build_log
from scalemesh.logs.hub import Hub, Watch
from scalemesh.logs.lines import Batch, Gap, with_gaps
from scalemesh.logs.stream import read_lines
from scalemesh.model import DeploymentID, LogLine, ProjectID, Status

logger = logging.getLogger(__name__)

# Events are hints; a reader that hears nothing asks Postgres and the stream this often.
QUIET_S = 5.0


@dataclass(frozen=True, slots=True)
class End:
    status: Status


Event = Batch | Gap | Status | End


class Logs:
    def __init__(self, pool: Pool, redis: Redis, store: ArtifactStore, hub: Hub) -> None:
        self._pool = pool
        self._redis = redis
        self._store = store
        self._hub = hub

    async def read(
        self, project_id: ProjectID, deployment_id: DeploymentID, *, after: int
    ) -> AsyncGenerator[Event, None]:
        """What there is now after line ``after``, then the status (End where it is final).

        Raises StoreUnavailable.
        """
        status = await self._status(deployment_id)
        for event in with_gaps(await self._stored(project_id, deployment_id, after, status), after):
            yield event
        yield End(status) if status.is_final else status

    async def follow(self, watch: Watch, *, after: int) -> AsyncGenerator[Event, None]:
        """The same, then each line as it comes, until End.

        Raises LogClientTooSlow, WatchEnded, StoreUnavailable.
        """
        with self._hub.watch(watch):
            status = await self._status(watch.deployment_id)
            yield status
            cursor = after
            # The queue fills from here on, so whatever is read next overlaps it and nothing falls between.
            for event in await self._missed(watch, cursor, status):
                cursor = _last(event, cursor)
                yield event
            while not status.is_final:
                item = await watch.next(QUIET_S)
                if isinstance(item, Batch):
                    events: Iterable[Batch | Gap] = await self._fitting(watch, item, cursor, status)
                elif isinstance(item, Status):
                    events = ()
                    if item is not status:
                        status = item
                        yield status
                else:
                    events = await self._missed(watch, cursor, status)
                    current = await self._status(watch.deployment_id)
                    if current is not status:
                        status = current
                        yield status
                for event in events:
                    cursor = _last(event, cursor)
                    yield event
            for event in await self._missed(watch, cursor, status):
                yield event
            yield End(status)

    async def _fitting(
        self, watch: Watch, batch: Batch, cursor: int, status: Status
    ) -> Sequence[Batch | Gap]:
        """The batch where it is the next one; what the stream has where lines are missing before it."""
        if batch.last <= cursor:
            return ()
        if batch.first <= cursor + 1:
            rest = batch.after(cursor)
            return (rest,) if rest else ()
        # Where Redis can't be read now, the batch waits with its predecessors for the next look.
        return await self._missed(watch, cursor, status)

    async def _missed(self, watch: Watch, cursor: int, status: Status) -> Sequence[Batch | Gap]:
        lines = await self._stored(watch.project_id, watch.deployment_id, cursor, status)
        return list(with_gaps(lines, cursor))

    async def _stored(
        self, project_id: ProjectID, deployment_id: DeploymentID, after: int, status: Status
    ) -> Sequence[LogLine]:
        """From the archive once the build has ended, from the stream before that."""
        if status.is_final:
            log = await fetch_build_log(self._store, project_id, deployment_id)
            if log is not None:
                return [line for line in log.lines if line.seq > after]
        try:
            return await read_lines(self._redis, deployment_id, after)
        except RedisError as error:
            logger.warning("the live log of %s can't be read now: %s", deployment_id, error)
            return ()

    async def _status(self, deployment_id: DeploymentID) -> Status:
        return await deployments.get_status(self._pool, deployment_id)


def _last(event: Batch | Gap, cursor: int) -> int:
    return max(cursor, event.last)
