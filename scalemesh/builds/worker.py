"""One claimed deployment, from its launch to its outcome."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from scalemesh.artifacts.store import ArtifactStore, GrantsUploads, StoreUnavailable
from scalemesh.auth.secretbox import SecretBox, SecretUnreadable
from scalemesh.builds.again import persistently
from scalemesh.builds.counters import BuildCounters
from scalemesh.builds.launcher import LaunchDelayed, Launcher, LauncherAway, LaunchFailed, RunningBuild
from scalemesh.builds.order import BuildPlace, builder_environment, live_manifest, site_label
from scalemesh.builds.outcome import Cancel, Fail, Outcome, Publish, Retry, decide_outcome
from scalemesh.builds.record import Records, while_redis_returns
from scalemesh.db import queue
from scalemesh.db.pool import UNAVAILABLE, Pool
from scalemesh.db.queue import BuildFacts, Claim, LostLease
from scalemesh.fields.variables import values_for
from scalemesh.logs import stream
from scalemesh.logs.events import Announcer
from scalemesh.logs.writers import LogWriters
from scalemesh.model import BuildID, Failure, Status
from scalemesh.tasks import end_tasks, to_its_end

logger = logging.getLogger(__name__)

T = TypeVar("T")

LEASE = timedelta(seconds=15)
# Often enough that a cancel is seen within a second and that a lease outlives several lost renewals.
_RENEW_S = 1.0
_AWAY: tuple[type[Exception], ...] = (StoreUnavailable, *UNAVAILABLE)
_LOST_OR_AWAY: tuple[type[Exception], ...] = (LostLease, *_AWAY)
_LAUNCHER_OR_PART_AWAY: tuple[type[Exception], ...] = (LauncherAway, *_AWAY)

# Of a server that stops; a restart should not wait for a Postgres or a store that is away.
_GIVE_BACK_S = 5.0
# A store that does not answer now, without which no build could end well, or our own Redis.
_PART_AWAY = timedelta(seconds=5)
# The builder ends itself at its deadline; one that is still there after this is stopped.
_DEADLINE_GRACE_S = 10.0
# After its site is live; the builder itself gives up before.
_SAVE_S = 150.0
# An outcome is worth waiting for a restart of Postgres or of the store, for about the length of a lease.
_RECORD_TRIES = 12


class Worker:
    """``site_url`` gives a site's address by the first label of its host.

    ``grants`` is the store where its builders get a grant instead of keys, ``writers`` the Redis where each
    builder is a user of its own.
    """

    def __init__(
        self,
        pool: Pool,
        redis: Redis,
        store: ArtifactStore,
        launcher: Launcher,
        secrets: SecretBox,
        place: BuildPlace,
        *,
        site_url: Callable[[str], str],
        grants: GrantsUploads | None = None,
        writers: LogWriters | None = None,
    ) -> None:
        self._pool = pool
        self._redis = redis
        self._records = Records(store, redis)
        self._launcher = launcher
        self._secrets = secrets
        self._place = place
        self._site_url = site_url
        self._grants = grants
        self._writers = writers
        self._announcer = Announcer(redis)
        self.counters = BuildCounters()

    async def build(self, claim: Claim) -> None:
        """Build, and write down what came of it. Canceled, it leaves the builder and gives the claim back."""
        await self._to_its_end(claim, lambda: self._run(claim))

    async def take_over(self, claim: Claim) -> None:
        """As ``build``, of a claim that was another worker's: goes on with its builder, or what that left."""
        await self._to_its_end(claim, lambda: self._take_over(claim))

    async def _to_its_end(self, claim: Claim, work: Callable[[], Awaitable[RunningBuild | None]]) -> None:
        try:
            running = await work()
        except LostLease:
            logger.warning("deployment %s was taken from this worker", claim.deployment_id)
        except asyncio.CancelledError:
            await to_its_end(self._give_back(claim))
            raise
        else:
            if running is not None:
                await _let_save(running)

    async def remove_orphans(self) -> None:
        """End builders whose deployment no worker will ask for again. Raises LauncherAway."""
        writers = await self._list_writers()
        # In this order: a builder that is found has a claim from before it, so a missing one is past.
        if (found := set(await self._launcher.list_builds())) or writers:
            building = {BuildID(*attempt) for attempt in await queue.list_attempts_building(self._pool)}
            for build in writers - building:
                await self._dismiss_writer(build)
            for build in found - building:
                logger.warning("removing what is left of %s, attempt %d", build.deployment_id, build.attempt)
                await self._launcher.remove(build)

    async def _take_over(self, claim: Claim) -> RunningBuild | None:
        try:
            running = await self._launcher.resume(BuildID(claim.deployment_id, claim.attempt))
            if running is not None:
                logger.warning("deployment %s lost its worker and is followed here", claim.deployment_id)
                return await self._follow(claim, running)
            status = await self._conclude(claim)
        except _LAUNCHER_OR_PART_AWAY as error:
            logger.warning("deployment %s is asked for again later: %s", claim.deployment_id, error)
            return None
        logger.warning("deployment %s lost its worker and is %s now", claim.deployment_id, status)
        await self._announce(claim, status)
        return None

    async def _run(self, claim: Claim) -> RunningBuild | None:
        """The builder whose outcome is written down; it may still be saving what later builds can use."""
        await self._announce(claim, Status.BUILDING)
        try:
            environment = builder_environment(
                claim,
                self._place,
                env=values_for(self._secrets.open(claim.env_encrypted), claim.target),
                git_token=self._secrets.open_token(claim.access_token_encrypted),
                site_url=self._site_url(site_label(claim)),
                first_seq=await self._records.first_seq(claim),
                upload_grant=await self._upload_grant(claim),
                redis_url=await self._redis_url(claim),
            )
            running = await self._launcher.launch(claim.deployment_id, environment)
        except SecretUnreadable as error:
            hint = "Enter it again in the project's settings."
            failure = Failure("secrets_unreadable", f"The build can't start: {error}.", hint)
            await self._announce(claim, await self._record(claim, Fail(failure, BuildFacts())))
            return None
        except LaunchFailed as error:
            logger.error("could not launch a builder: %s", error)  # noqa: TRY400 - the message says it all
            await self._announce(claim, await self._conclude(claim, error.failure))
            return None
        except LaunchDelayed as error:
            logger.warning("deployment %s waits: %s", claim.deployment_id, error)
            after = error.after
            await self._dismiss_writer(BuildID(claim.deployment_id, claim.attempt))
            await self._announce(
                claim, await _persistently(lambda: queue.put_back(self._pool, claim, after=after))
            )
            return None
        return await self._follow(claim, running)

    async def _follow(self, claim: Claim, running: RunningBuild) -> RunningBuild | None:
        try:
            archived = await self._supervise(claim, running)
            if not archived:
                await running.stop()
            status = await self._conclude(claim, running.explain())
            await self._announce(claim, status)
        except BaseException:
            await to_its_end(running.leave())
            raise
        if archived and status is Status.CANCELED:
            await running.stop()
            return None
        return running if archived else None

    async def _conclude(self, claim: Claim, explanation: Failure | None = None) -> Status:
        """Write down what came of a build that nobody works on any more. Raises LostLease.

        ``explanation`` is the launcher's, where it knows more than the builder's log.
        """
        canceled = await _persistently(lambda: queue.renew_lease(self._pool, claim, LEASE))
        await self._dismiss_writer(BuildID(claim.deployment_id, claim.attempt))
        outcome = await _persistently(lambda: self._outcome(claim, canceled, explanation))
        return await self._record(claim, outcome)

    async def _supervise(self, claim: Claim, running: RunningBuild) -> bool:
        """Renew the lease until the builder has stored its log, or ended without. Raises LostLease."""
        archived = asyncio.create_task(self._until_archived(claim), name="archived")
        ended = asyncio.create_task(running.wait(), name="ended")
        try:
            await self._renew_until_done(claim, running, {archived, ended})
            return archived.done()
        finally:
            await to_its_end(end_tasks(archived, ended))

    async def _until_archived(self, claim: Claim) -> None:
        if self._launcher.outlives_server:
            # Such a builder would pass for an orphan while it saves its caches, so its end is waited for.
            await asyncio.Event().wait()
        await stream.wait_until_archived(self._redis, claim.deployment_id, claim.attempt)

    async def _renew_until_done(
        self, claim: Claim, running: RunningBuild, waiting: "set[asyncio.Task[Any]]"
    ) -> None:
        loop = asyncio.get_running_loop()
        left_s = max(0.0, (claim.deadline - datetime.now(UTC)).total_seconds())
        stop_at = loop.time() + left_s + _DEADLINE_GRACE_S
        held_until = loop.time() + LEASE.total_seconds()
        while True:
            done, _ = await asyncio.wait(waiting, timeout=_RENEW_S, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return
            try:
                if await queue.renew_lease(self._pool, claim, LEASE):
                    await running.stop(canceled=True)
                held_until = loop.time() + LEASE.total_seconds()
            except UNAVAILABLE as error:
                logger.warning("could not renew the lease of %s: %s", claim.deployment_id, error)
                if loop.time() > held_until:
                    raise LostLease from error
            if loop.time() > stop_at:
                await running.stop()

    async def _outcome(self, claim: Claim, canceled: bool, explanation: Failure | None) -> Outcome:
        result = await self._records.fetch_result(claim)
        return decide_outcome(result, attempt=claim.attempt, canceled=canceled, explanation=explanation)

    async def _record(self, claim: Claim, outcome: Outcome) -> Status:
        """Write the outcome; the log is whole in the archive before anybody can see the end."""
        await self._records.complete(claim, outcome)
        status = await _persistently(lambda: self._mark(claim, outcome))
        self.counters.count(status, claim.started_at)
        return status

    async def _mark(self, claim: Claim, outcome: Outcome) -> Status:
        match outcome:
            case Publish(facts):
                return (await queue.mark_published(self._pool, claim, facts)).status
            case Fail(failure, facts):
                await queue.mark_failed(self._pool, claim, failure, facts)
                return Status.FAILED
            case Cancel(facts):
                await queue.mark_canceled(self._pool, claim, facts)
                return Status.CANCELED
            case Retry(after):
                return await queue.requeue(self._pool, claim, after=after)

    async def _upload_grant(self, claim: Claim) -> str | None:
        if self._grants is None:
            return None
        try:
            return await self._grants.grant(claim.project_id, live_manifest(claim), claim.deadline)
        except StoreUnavailable as error:
            raise LaunchDelayed(f"the store gives no grant: {error}", _PART_AWAY) from error

    async def _redis_url(self, claim: Claim) -> str:
        """What its builder writes the log with."""
        if (writers := self._writers) is None:
            return self._place.redis_url
        try:
            return await while_redis_returns(
                lambda: writers.admit(claim.project_id, claim.deployment_id, claim.attempt)
            )
        except RedisError as error:
            raise LaunchDelayed(f"Redis takes no writer: {error}", _PART_AWAY) from error

    async def _dismiss_writer(self, build: BuildID) -> None:
        if self._writers is None:
            return
        try:
            await self._writers.dismiss(build.deployment_id, build.attempt)
        except RedisError as error:
            logger.warning("the log of %s can be written until Redis is back: %s", build.deployment_id, error)

    async def _list_writers(self) -> set[BuildID]:
        if self._writers is None:
            return set()
        try:
            return {BuildID(*attempt) for attempt in await self._writers.list_admitted()}
        except RedisError as error:
            logger.warning("who may write logs is asked again later: %s", error)
            return set()

    async def _give_back(self, claim: Claim) -> None:
        if self._launcher.outlives_server:
            await self._let_lapse(claim)
            return
        # Its builder is stopped, so it ends as any attempt that was interrupted, the last one too.
        try:
            async with asyncio.timeout(_GIVE_BACK_S):
                await self._announce(claim, await self._conclude(claim))
        except _LOST_OR_AWAY as error:
            logger.warning("deployment %s waits for its lease to lapse: %r", claim.deployment_id, error)

    async def _let_lapse(self, claim: Claim) -> None:
        """Another worker may go on with the attempt now; without this it may when the lease has run out."""
        try:
            await queue.let_lapse(self._pool, claim)
        except _LOST_OR_AWAY as error:
            logger.warning("deployment %s waits for its lease to lapse: %s", claim.deployment_id, error)

    async def _announce(self, claim: Claim, status: Status) -> None:
        await self._announcer.announce_outcome(claim.project_id, claim.deployment_id, status)


async def _let_save(running: RunningBuild) -> None:
    try:
        async with asyncio.timeout(_SAVE_S):
            await running.wait()
    except TimeoutError:
        logger.warning("a builder took longer than %.0f s to save its caches and is stopped", _SAVE_S)
    finally:
        await to_its_end(running.stop())


async def _persistently(work: Callable[[], Awaitable[T]]) -> T:
    """Try again while Postgres or the store is away; then the last error."""
    return await persistently(work, lambda error: isinstance(error, _AWAY), attempts=_RECORD_TRIES)
