"""A deployment's log for one reader: what was, what comes, and the end; each line once, in order."""

import asyncio
import logging
from bisect import bisect_right
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from operator import attrgetter

from redis.asyncio import Redis
from redis.exceptions import RedisError

from scalemesh.artifacts.store import ArtifactStore
from scalemesh.db import deployments, sessions
from scalemesh.db.pool import UNAVAILABLE, Pool
from scalemesh.logs.archive import ArchiveDamaged, BuildLog, fetch_build_log
from scalemesh.logs.hub import Hub, Item, Resync, Watch, WatchEnded
from scalemesh.logs.lines import Batch, Gap, with_gaps
from scalemesh.logs.stream import last_seq, read_page
from scalemesh.model import DeploymentID, ProjectID, Status

logger = logging.getLogger(__name__)

# Events are hints; a reader asks Postgres and the stream this often, however much it hears.
LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class End:
    status: Status


Event = Batch | Gap | Status | End


async def up_to(events: AsyncGenerator[Event, None], last: int) -> AsyncGenerator[Event, None]:
    """``events`` as far as line ``last``: once it has come, or its gap, nothing follows, not even End."""
    async with aclosing(events):
        async for event in events:
            if not isinstance(event, Batch | Gap) or event.last < last:
                yield event
                continue
            if isinstance(event, Gap):
                yield Gap(event.first, min(event.last, last))
            else:
                yield Batch([line for line in event.lines if line.seq <= last])
            return


class Logs:
    def __init__(self, pool: Pool, redis: Redis, store: ArtifactStore, hub: Hub) -> None:
        self._pool = pool
        self._redis = redis
        self._store = store
        self._hub = hub
        self._archives: dict[DeploymentID, asyncio.Task[BuildLog | None]] = {}

    async def read(
        self, project_id: ProjectID, deployment_id: DeploymentID, *, after: int
    ) -> AsyncGenerator[Event, None]:
        """What there is now after line ``after``, then the status (End where it is final).

        Raises StoreUnavailable, RedisError, ArchiveDamaged.
        """
        status = await deployments.get_status(self._pool, deployment_id)
        async with aclosing(self._stored(project_id, deployment_id, after, status)) as events:
            async for event in events:
                yield event
        yield End(status) if status.is_final else status

    async def follow(self, watch: Watch, *, after: int) -> AsyncGenerator[Event, None]:
        """The status and the same, then each line as it comes, until End.

        Raises LogClientTooSlow, WatchEnded, DeploymentNotFound, StoreUnavailable, ArchiveDamaged, RedisError
        (only where nothing but Redis has the end), and at the start what asyncpg does.
        """
        now = asyncio.get_running_loop().time
        with self._hub.watch(watch):
            # The queue fills from here on, so whatever is read next overlaps it and nothing falls between.
            item: Item = Resync()
            status, cursor = None, after
            while True:
                if isinstance(item, Resync):
                    current = await self._look(watch, status)
                    look_at = now() + LOOK_S
                elif isinstance(item, Status):
                    current = item
                if current is not status:
                    status = current
                    yield status
                if isinstance(item, Batch) and item.first == cursor + 1 and not status.is_final:
                    # Nearly always; what follows does the same for it with three generators.
                    cursor = item.last
                    yield item
                else:
                    async with aclosing(self._new(watch, item, cursor, status)) as events:
                        async for event in events:
                            watch.check()
                            cursor = event.last
                            yield event
                if status.is_final:
                    break
                item = await watch.next(look_at - now())
            yield End(status)

    async def _look(self, watch: Watch, known: Status | None) -> Status:
        """The status now, or the one that is known where Postgres is away."""
        try:
            if await sessions.fetch_session_user(self._pool, bytes.fromhex(watch.session)) is None:
                raise WatchEnded
            deployment = await deployments.get_deployment(self._pool, watch.deployment_id, watch.user_id)
        except UNAVAILABLE as error:
            if known is None:
                raise
            logger.warning("the status of %s can't be read now: %s", watch.deployment_id, error)
            return known
        return deployment.status

    async def _new(
        self, watch: Watch, item: Item, cursor: int, status: Status
    ) -> AsyncGenerator[Batch | Gap, None]:
        """What ``item`` means for a reader that has every line up to ``cursor``."""
        if status.is_final or isinstance(item, Resync):
            events = self._stored(watch.project_id, watch.deployment_id, cursor, status)
        elif isinstance(item, Batch):
            events = self._fitting(watch.deployment_id, item, cursor)
        else:
            return
        try:
            async with aclosing(events):
                async for event in events:
                    yield event
        except RedisError as error:
            if status.is_final:
                raise
            # The next look, or the next batch, finds what is missing.
            logger.warning("the live log of %s can't be read now: %s", watch.deployment_id, error)

    async def _fitting(
        self, deployment_id: DeploymentID, batch: Batch, cursor: int
    ) -> AsyncGenerator[Batch | Gap, None]:
        """The batch, after what the stream has between ``cursor`` and it."""
        while batch.first > cursor + 1:
            lines = await read_page(self._redis, deployment_id, cursor, upto=batch.first - 1)
            if not lines:
                yield Gap(cursor + 1, batch.first - 1)
                break
            for event in with_gaps(lines, cursor):
                yield event
            cursor = lines[-1].seq
        rest = batch.after(cursor)
        if rest is not None:
            yield rest

    async def _stored(
        self, project_id: ProjectID, deployment_id: DeploymentID, cursor: int, status: Status
    ) -> AsyncGenerator[Batch | Gap, None]:
        """From the archive once the build has ended, from the stream before that and where there is none."""
        log = await self._archived(project_id, deployment_id) if status.is_final else None
        if log is not None:
            start = bisect_right(log.lines, cursor, key=attrgetter("seq"))
            for event in with_gaps(log.lines[start:], cursor):
                yield event
                # A reader that takes all it is given must not keep the loop from the others.
                await asyncio.sleep(0)
            return
        # As far as the stream is now: what comes meanwhile comes through the queue, which must not fill.
        last = await last_seq(self._redis, deployment_id)
        while cursor < last and (lines := await read_page(self._redis, deployment_id, cursor)):
            for event in with_gaps(lines, cursor):
                yield event
            cursor = lines[-1].seq

    async def _archived(self, project_id: ProjectID, deployment_id: DeploymentID) -> BuildLog | None:
        """One read for all who ask meanwhile: every console of a build asks at its end.

        None where there is none, or a damaged one and a stream.
        """
        reading = self._archives.get(deployment_id)
        if reading is None:
            reading = asyncio.create_task(self._fetch_archived(project_id, deployment_id))
            self._archives[deployment_id] = reading

            def forget(done: asyncio.Task[BuildLog | None]) -> None:
                del self._archives[deployment_id]
                if not done.cancelled():
                    done.exception()  # those who wait get it; where all have left it is nobody's

            reading.add_done_callback(forget)
        try:
            return await asyncio.shield(reading)
        except ArchiveDamaged:
            if not await last_seq(self._redis, deployment_id):
                raise
            logger.exception("the archived log of %s is damaged; its stream is read", deployment_id)
            return None

    async def _fetch_archived(self, project_id: ProjectID, deployment_id: DeploymentID) -> BuildLog | None:
        attempt = await deployments.get_attempt(self._pool, deployment_id)
        return await fetch_build_log(self._store, project_id, deployment_id, attempt)
