"""A deployment's log for one reader: what was, what comes, and the end; each line once, in order."""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from weakref import WeakValueDictionary

from redis.asyncio import Redis
from redis.exceptions import RedisError

from scalemesh.artifacts.store import ArtifactStore
from scalemesh.db import deployments, sessions
from scalemesh.db.pool import Pool
from scalemesh.logs.archive import ArchiveDamaged, ArchivedLog, fetch_archived_log
from scalemesh.logs.hub import Hub, Item, Resync, Watch, WatchEnded
from scalemesh.logs.lines import Batch, Gap, row_from, with_gaps
from scalemesh.logs.shared import Shared
from scalemesh.logs.stream import last_seq, read_page
from scalemesh.model import DeploymentID, ProjectID, Status

logger = logging.getLogger(__name__)


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
                yield event.up_to(last)
            return


class Logs:
    def __init__(self, pool: Pool, redis: Redis, store: ArtifactStore, hub: Hub) -> None:
        self._pool = pool
        self._redis = redis
        self._store = store
        self._hub = hub
        self._fetches: Shared[DeploymentID, ArchivedLog | None] = Shared()
        # Those that somebody reads; each is gone with its last reader.
        self._archives: WeakValueDictionary[DeploymentID, ArchivedLog] = WeakValueDictionary()
        self._pages: Shared[tuple[DeploymentID, int, int], Sequence[Batch | Gap]] = Shared()

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

        Batches that ``watch.offer`` takes are not among the events: its client has them already.
        Raises LogClientTooSlow, WatchEnded, DeploymentNotFound, StoreUnavailable, ArchiveDamaged, RedisError
        (only where nothing but Redis has the end), and at the start what asyncpg does.
        """
        watch.cursor = after
        with self._hub.watch(watch):
            # The queue fills from here on, so whatever is read next overlaps it and nothing falls between.
            status = watch.status = await self._admit(watch)
            yield status
            item: Item = Resync()
            while True:
                if isinstance(item, Status) and item is not status:
                    status = watch.status = item
                    yield status
                if isinstance(item, Batch) and item.first == watch.cursor + 1:
                    # Nearly always; what follows does the same for it with three generators.
                    watch.cursor = item.last
                    yield item
                else:
                    async with aclosing(self._new(watch, item, status)) as events:
                        async for event in events:
                            watch.check()
                            watch.cursor = event.last
                            yield event
                if status.is_final:
                    break
                item = await watch.next()
            yield End(status)

    async def _admit(self, watch: Watch) -> Status:
        """Whatever is announced from now on the watch hears; this is what came before."""
        if await sessions.fetch_session_user(self._pool, bytes.fromhex(watch.session)) is None:
            raise WatchEnded
        deployment = await deployments.get_deployment(self._pool, watch.deployment_id, watch.user_id)
        return deployment.status

    async def _new(self, watch: Watch, item: Item, status: Status) -> AsyncGenerator[Batch | Gap, None]:
        """What ``item`` means for a reader that has every line up to the cursor."""
        if status.is_final or isinstance(item, Resync):
            events = self._stored(watch.project_id, watch.deployment_id, watch.cursor, status)
        elif isinstance(item, Batch):
            events = self._fitting(watch.deployment_id, item, watch.cursor)
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
            page = await self._page(deployment_id, cursor, batch.first - 1)
            if not page:
                if not await last_seq(self._redis, deployment_id):
                    # The build has ended and its stream is gone: the archive has these lines too.
                    return
                yield Gap(cursor + 1, batch.first - 1)
                break
            for event in page:
                yield event
            cursor = page[-1].last
        rest = batch.after(cursor)
        if rest is not None:
            yield rest

    async def _stored(
        self, project_id: ProjectID, deployment_id: DeploymentID, cursor: int, status: Status
    ) -> AsyncGenerator[Batch | Gap, None]:
        """From the archive once the build has ended, from the stream before that and where there is none."""
        damage: ArchiveDamaged | None = None
        if status.is_final:
            try:
                log = await self._archived(project_id, deployment_id)
                if log is not None:
                    async with aclosing(log.read(cursor)) as events:
                        async for event in events:
                            cursor = event.last
                            yield event
                    return
            except ArchiveDamaged as error:
                damage = error
        # As far as the stream is now: what comes meanwhile comes through the queue, which must not fill.
        last = await last_seq(self._redis, deployment_id)
        if damage is not None:
            if not last:
                raise damage
            logger.error("the archived log of %s is damaged (%s); its stream is read", deployment_id, damage)
        while cursor < last and (page := await self._page(deployment_id, cursor, last)):
            for event in page:
                yield event
            cursor = page[-1].last

    async def _page(self, deployment_id: DeploymentID, cursor: int, upto: int) -> Sequence[Batch | Gap]:
        """What the stream has next after ``cursor``, in batches that end with ``upto``; empty: nothing.

        Whoever lacks the same lines as others shares the read, and the batches too.
        """

        async def read() -> Sequence[Batch | Gap]:
            shapes = await read_page(self._redis, deployment_id, cursor, upto=upto)
            return list(with_gaps(map(row_from, shapes), cursor))

        return await self._pages.get((deployment_id, cursor, upto), read)

    async def _archived(self, project_id: ProjectID, deployment_id: DeploymentID) -> ArchivedLog | None:
        """The one that somebody reads already, or a fetch for all who ask meanwhile."""

        async def fetch() -> ArchivedLog | None:
            attempt = await deployments.get_attempt(self._pool, deployment_id)
            return await fetch_archived_log(self._store, project_id, deployment_id, attempt)

        log = self._archives.get(deployment_id) or await self._fetches.get(deployment_id, fetch)
        if log is not None:
            self._archives[deployment_id] = log
        return log
