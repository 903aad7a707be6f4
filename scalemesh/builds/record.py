"""What a build leaves in the archive, as the server knows and completes it from there and the live stream."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from scalemesh import keys
from scalemesh.artifacts.store import ArtifactNotFound, ArtifactStore, ArtifactTooLarge, StoreUnavailable
from scalemesh.builds.again import persistently
from scalemesh.builds.outcome import Cancel, Fail, Outcome, Publish, Retry
from scalemesh.db.queue import Claim
from scalemesh.logs import stream
from scalemesh.logs.archive import (
    ArchiveDamaged,
    BuildLog,
    BuildResult,
    LogEnds,
    fetch_build_log,
    fetch_log_ends,
    write_whole_build_log,
)
from scalemesh.model import LogLine
from scalemesh.sites import MAX_MANIFEST_BYTES

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Redis is not worth as much as Postgres: a build goes on without it, and this is waited for under one lease.
_REDIS_TRIES = 5


class Records:
    """The logs of the builds of one store."""

    def __init__(self, store: ArtifactStore, redis: Redis) -> None:
        self._store = store
        self._redis = redis

    async def first_seq(self, claim: Claim) -> int:
        """1, or on a later attempt the number after the last line that an earlier one wrote."""
        if claim.attempt == 1:
            return 1
        earlier = await self._earlier_lines(claim)
        last = earlier[-1].seq if earlier else 0
        try:
            live = await while_redis_returns(lambda: stream.last_seq(self._redis, claim.deployment_id))
        except RedisError as error:
            logger.warning("the live log of %s can't be read: %s", claim.deployment_id, error)
            return last + 1
        return max(live, last) + 1

    async def fetch_result(self, claim: Claim) -> BuildResult | None:
        """What the attempt's builder says became of it, if it came to that. Raises StoreUnavailable."""
        try:
            ends = await self._log_ends(claim)
        except ArchiveDamaged:
            logger.exception("the log of %s is damaged", claim.deployment_id)
            return None
        return ends.result if ends else None

    async def complete(self, claim: Claim, outcome: Outcome) -> None:
        """Put into the archive what it lacks: the lines of an earlier attempt or a lost builder, and why.

        Then both it and the manifest of a later attempt are under the names of the first one's too, for
        whoever knows no other.
        """
        try:
            if isinstance(outcome, Publish) and claim.attempt > 1:
                await self._copy_manifest(claim)
            ends = await self._log_ends(claim)
            last_word = _last_word(outcome, ends.result if ends else None)
            if ends is None or ends.first_seq != 1 or last_word:
                log = await self._archived_log(claim, claim.attempt)
                lines = await self._whole_log(claim, log.lines if log else (), last_word)
                whole = BuildLog(lines, log.result if log else None)
                await write_whole_build_log(
                    self._store, claim.project_id, claim.deployment_id, claim.attempt, whole
                )
            keep = stream.KEEP_AS_ONLY_COPY if isinstance(outcome, Retry) else stream.KEEP_AFTER_END
        except (RedisError, StoreUnavailable, ArchiveDamaged) as error:
            # The outcome matters more than its log, and the stream still has the lines.
            logger.warning("the log of %s could not be completed: %s", claim.deployment_id, error)
            keep = stream.KEEP_AS_ONLY_COPY
        try:
            await while_redis_returns(lambda: stream.expire(self._redis, claim.deployment_id, keep))
        except RedisError as error:
            logger.warning("the log of %s stays in Redis: %s", claim.deployment_id, error)

    async def _copy_manifest(self, claim: Claim) -> None:
        own, first = (
            keys.manifest(claim.project_id, claim.deployment_id, attempt) for attempt in (claim.attempt, 1)
        )
        try:
            await self._store.write(first, await self._store.read(own, max_bytes=MAX_MANIFEST_BYTES))
        except (ArtifactNotFound, ArtifactTooLarge) as error:
            logger.warning("%s is published, and can't be served: %s", claim.deployment_id, error)

    async def _whole_log(
        self, claim: Claim, archived: Sequence[LogLine], last_word: str | None
    ) -> Sequence[LogLine]:
        """What came before the ``archived`` lines, those, and ``last_word`` as the server's own."""
        lines = [*await self._earlier_lines(claim)]
        known = lines[-1].seq if lines else 0
        if not archived or known < archived[0].seq - 1:
            lines += await while_redis_returns(
                lambda: stream.read_lines(self._redis, claim.deployment_id, known)
            )
        if archived:
            lines = [*(line for line in lines if line.seq < archived[0].seq), *archived]
        if last_word is None:
            return lines
        last = LogLine(
            seq=lines[-1].seq + 1 if lines else 1,
            time=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            stream="system",
            phase=lines[-1].phase if lines else "clone",
            text=last_word,
        )
        try:
            await stream.append_line(self._redis, claim.project_id, claim.deployment_id, last)
        except RedisError as error:
            logger.warning("open consoles miss the last line of %s: %s", claim.deployment_id, error)
        return [*lines, last]

    async def _earlier_lines(self, claim: Claim) -> Sequence[LogLine]:
        """The log up to the attempt before, as far as the archive has it."""
        try:
            log = await self._archived_log(claim, claim.attempt - 1)
        except (StoreUnavailable, ArchiveDamaged) as error:
            logger.warning("the earlier log of %s can't be read: %s", claim.deployment_id, error)
            return ()
        return log.lines if log else ()

    async def _log_ends(self, claim: Claim) -> LogEnds | None:
        return await fetch_log_ends(self._store, claim.project_id, claim.deployment_id, claim.attempt)

    async def _archived_log(self, claim: Claim, attempt: int) -> BuildLog | None:
        return await fetch_build_log(self._store, claim.project_id, claim.deployment_id, attempt)


def _last_word(outcome: Outcome, result: BuildResult | None) -> str | None:
    """What the log's end must say; None where the builder has said it, or there is nothing to say."""
    match outcome:
        case Fail(failure, _) if result is None or result.failure != failure:
            return f"{failure.message} {failure.hint}"
        case Cancel() if result is None:
            return "The build was canceled."
        case Retry() if result is None:
            return "The build was interrupted. It starts again."
        case _:
            return None


async def while_redis_returns(read: Callable[[], Awaitable[T]]) -> T:
    """Try again for as long as a Redis that was killed takes to be back; then the last error."""
    return await persistently(read, lambda error: isinstance(error, RedisError), attempts=_REDIS_TRIES)
