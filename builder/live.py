"""The log's live path: to Redis in batches, or to stdout where there is no Redis."""

import asyncio
import importlib
import json
import logging
import sys
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from builder.log import Line

if TYPE_CHECKING:
    from redis.asyncio import Redis

BATCH_WAIT_S = 0.05
"""A line is in the browser 150 ms after it was printed; this is our third of that."""

BATCH_BYTES = 16 * 1024
SOCKET_TIMEOUT_S = 5.0
RETRY_CAP_S = 1.0
ARCHIVED_EXPIRE_S = 60
"""The server waits for this mark from the start; where it does not, the builder's end tells it the same."""

logger = logging.getLogger(__name__)


class StdoutLive:
    """For a build by hand: ``[phase] text``, a line each."""

    def send(self, lines: Sequence[Line]) -> None:
        for line in lines:
            print(f"[{line.origin.phase}] {line.text}")  # noqa: T201 - what this class is for
        # A pipe would hold lines back for as long as the build is silent.
        sys.stdout.flush()

    async def close(self, timeout_s: float, *, archived_attempt: int | None = None) -> None:
        sys.stdout.flush()


class RedisLive:
    """Sends batches to the stream ``build-log:{deploymentID}`` and the channel ``logs:{projectID}``.

    An entry's id is the ``seq`` of its last line, so sending a batch again after an ambiguous failure
    does nothing. While Redis is away lines wait here; how many is bounded by the log's own cap, since
    ``BuildLog`` sends no more than that.
    """

    def __init__(self, url: str, project_id: str, deployment_id: str) -> None:
        self._url = url
        self._archived_attempt: int | None = None
        self._stream = f"build-log:{deployment_id}"
        self._channel = f"logs:{project_id}"
        self._deployment_id = deployment_id
        self._queue: deque[tuple[int, str]] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="live log")

    def send(self, lines: Sequence[Line]) -> None:
        for line in lines:
            shape = line.to_json()
            self._queue.append((line.seq, shape))
            self._queued_bytes += len(shape)
        self._wake.set()

    async def close(self, timeout_s: float, *, archived_attempt: int | None = None) -> None:
        self._archived_attempt = archived_attempt
        self._closing = True
        self._wake.set()
        done, _ = await asyncio.wait({self._task}, timeout=timeout_s)
        if done:
            if error := self._task.exception():
                logger.error("The live log ended early: %s", error)
            return
        logger.warning("Redis did not take the last %d lines; the log object has them.", len(self._queue))
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        # Importing redis takes longer than a small build's clone, so it happens beside it.
        await asyncio.to_thread(importlib.import_module, "redis.asyncio")
        async with _connect(self._url) as redis:
            while self._queue or not self._closing:
                await self._wake.wait()
                self._wake.clear()
                if not self._closing:
                    await asyncio.sleep(BATCH_WAIT_S)
                # All that is there now, then only whole batches: what comes meanwhile would make small ones,
                # and each costs every watcher a frame.
                due = len(self._queue)
                while due > 0 or self._queued_bytes >= BATCH_BYTES:
                    batch, last_seq = self._take_batch()
                    due -= len(batch)
                    await self._deliver(redis, batch, last_seq)
                if self._queue:
                    self._wake.set()
            if self._archived_attempt is not None:
                mark = f"build-archived:{self._deployment_id}:{self._archived_attempt}"
                pipeline = redis.pipeline(transaction=False)
                pipeline.lpush(mark, 1)
                pipeline.expire(mark, ARCHIVED_EXPIRE_S)
                await pipeline.execute()

    def _take_batch(self) -> tuple[list[str], int]:
        batch: list[str] = []
        size = last_seq = 0
        while self._queue and (not batch or size + len(self._queue[0][1]) <= BATCH_BYTES):
            last_seq, shape = self._queue.popleft()
            size += len(shape)
            batch.append(shape)
        self._queued_bytes -= size
        return batch, last_seq

    async def _deliver(self, redis: "Redis", batch: list[str], last_seq: int) -> None:
        """Returns when the batch is in the stream, however long that takes; ``close`` bounds it."""
        from redis.exceptions import RedisError, ResponseError

        lines = f"[{','.join(batch)}]"
        message = f'{{"deploymentID":{json.dumps(self._deployment_id)},"lines":{lines}}}'
        while True:
            pipeline = redis.pipeline(transaction=False)
            pipeline.xadd(self._stream, {"lines": lines}, id=f"{last_seq}-0")
            pipeline.publish(self._channel, message)
            try:
                results = await pipeline.execute(raise_on_error=False)
            except RedisError as error:
                logger.warning("Redis did not take log lines and is tried again: %s", error)
                await asyncio.sleep(RETRY_CAP_S)
                continue
            errors = [result for result in results if isinstance(result, ResponseError)]
            # "…is equal or smaller than the target stream top item": an earlier try arrived after all.
            if all("equal or smaller" in str(error) for error in errors):
                return
            logger.warning("Redis refused log lines and is tried again: %s", errors[0])
            await asyncio.sleep(RETRY_CAP_S)


def _connect(url: str) -> "Redis":
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import ExponentialWithJitterBackoff

    return Redis.from_url(
        url,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=RETRY_CAP_S), retries=-1),
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        protocol=2,
    )
