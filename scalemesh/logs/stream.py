"""The live log: one Redis stream a deployment, written by the builder.

An entry holds a batch (``lines``: a JSON array) and has the id ``{seq of its last line}-0``, so that
"everything after line N" is one XRANGE and a write that is repeated is refused by Redis itself.
"""

import asyncio
import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from scalemesh import keys
from scalemesh.logs.lines import line_from, line_shape
from scalemesh.model import DeploymentID, LogLine, ProjectID

Entries = list[tuple[bytes, dict[bytes, bytes]]]

# Batches of 16 KiB: half a MiB is read and decoded without holding up the loop for long.
PAGE_ENTRIES = 32

# For whoever is in the middle of it as the build ends: from then on the archive is the log. One of full
# length takes 10 to 20 MiB, and a Redis that is full takes no line of any build, and lets nobody log in.
KEEP_AFTER_END = timedelta(minutes=1)

# Where the next attempt goes on with it, longer than that may wait and then take; and where it could not be
# put into the archive, as long as somebody may come to look.
KEEP_AS_ONLY_COPY = timedelta(days=2)

# Below the client's own timeout, which would take a longer silence for a dead connection.
_BLOCK_S = 1


async def read_page(
    redis: Redis, deployment_id: DeploymentID, after: int, *, upto: int | None = None
) -> list[dict[str, Any]]:
    """The lines that come next after line ``after``, in order, as JSON has them; empty: there are no more.

    ``upto`` leaves out the batches that end after that line.
    """
    entries = cast(
        Entries,
        await redis.xrange(
            keys.log_stream(deployment_id),
            min=f"({after}-0",
            max="+" if upto is None else f"{upto}-0",
            count=PAGE_ENTRIES,
        ),
    )
    shapes: list[dict[str, Any]] = []
    for _, fields in entries:
        shapes += json.loads(fields[b"lines"])
    return [shape for shape in shapes if int(shape["seq"]) > after]


async def read_lines(redis: Redis, deployment_id: DeploymentID, after: int) -> list[LogLine]:
    """Every line after ``after`` that the stream has. At most the log's cap, a few MiB."""
    lines: list[LogLine] = []
    while page := await read_page(redis, deployment_id, after):
        lines += map(line_from, page)
        after = lines[-1].seq
    return lines


async def last_seq(redis: Redis, deployment_id: DeploymentID) -> int:
    """The number of the newest line; 0 where there is none."""
    return _last_of(cast(Entries, await redis.xrevrange(keys.log_stream(deployment_id), count=1)))


def _last_of(entries: Entries) -> int:
    return int(entries[0][0].split(b"-")[0]) if entries else 0


async def last_seqs(redis: Redis, deployment_ids: Iterable[DeploymentID]) -> dict[DeploymentID, int]:
    """The same of many, in one round trip."""
    ids = list(deployment_ids)
    async with redis.pipeline(transaction=False) as pipeline:
        for deployment_id in ids:
            pipeline.xrevrange(keys.log_stream(deployment_id), count=1)
        newest = cast(list[Entries], await pipeline.execute())
    return {each: _last_of(entries) for each, entries in zip(ids, newest, strict=True)}


async def append_line(
    redis: Redis, project_id: ProjectID, deployment_id: DeploymentID, line: LogLine
) -> None:
    """As the builder does it: for the server's own word at the end of a log whose builder is gone."""
    lines = [line_shape(line)]
    async with redis.pipeline(transaction=False) as pipeline:
        pipeline.xadd(keys.log_stream(deployment_id), {"lines": json.dumps(lines)}, id=f"{line.seq}-0")
        pipeline.publish(
            keys.log_channel(project_id), json.dumps({"deploymentID": deployment_id, "lines": lines})
        )
        await pipeline.execute()


async def expire(redis: Redis, deployment_id: DeploymentID, after: timedelta) -> None:
    await redis.expire(keys.log_stream(deployment_id), after)


async def wait_until_archived(redis: Redis, deployment_id: DeploymentID, attempt: int) -> None:
    """Return when the builder says that the log object of ``attempt`` is stored, result and all.

    It may never say so: it can die, and Redis can be away.
    """
    while True:
        try:
            if await redis.blpop([keys.log_archived(deployment_id, attempt)], timeout=_BLOCK_S):
                return
        except RedisError:
            await asyncio.sleep(_BLOCK_S)
