"""A deployment that is being built, where the test is both its worker and its builder."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from copy import copy
from pathlib import Path

import asyncpg
from redis.asyncio import Redis

from scalemesh import keys
from scalemesh.artifacts import DirectoryStore
from scalemesh.artifacts.store import ArtifactStore
from scalemesh.logs.archive import BuildLog, write_build_log
from scalemesh.logs.events import Announcer, StatusChanged
from scalemesh.logs.lines import Batch, Row, line_shape, row_from
from scalemesh.model import DeploymentID, LogLine, ProjectID, Status


def line(seq: int, text: str | None = None) -> LogLine:
    return LogLine(
        seq, "2026-01-02T03:04:05.678Z", "stdout", "build", f"line {seq}" if text is None else text
    )


def lines(first: int, last: int) -> list[LogLine]:
    return [line(seq) for seq in range(first, last + 1)]


def long_line(seq: int) -> LogLine:
    """Of 8,000 bytes."""
    return line(seq, f"{seq} ".ljust(8000, "x"))


def rows_of(lines: Iterable[LogLine]) -> list[Row]:
    return [row_from(line_shape(each)) for each in lines]


def batch_of(consecutive: Sequence[LogLine]) -> Batch:
    return Batch(consecutive[0].seq, tuple(row for _, row in rows_of(consecutive)))


class Build:
    def __init__(
        self,
        connection: "asyncpg.Connection[asyncpg.Record]",
        redis: Redis,
        store: ArtifactStore,
        project_id: ProjectID,
    ) -> None:
        self._connection = connection
        self.redis = redis
        self.store = store
        self.project_id = project_id
        self.deployment_id = DeploymentID(keys.new_id())

    def on(self, redis: Redis) -> "Build":
        """The same deployment with another Redis."""
        other = copy(self)
        other.redis = redis
        return other

    async def begin(self) -> None:
        """A row that no worker will take."""
        await self._connection.execute(
            """
            INSERT INTO deployments (
                id, project_id, number, target, status, attempt, worker, lease_until
            )
            VALUES ($1, $2, 1, 'production', 'building', 1, 'a test', now() + interval '1 hour')
            """,
            self.deployment_id,
            self.project_id,
        )

    async def write(self, batch: Iterable[LogLine], *, published: bool = True) -> None:
        """As the builder does it: see ``docs/builder-contract.md``."""
        shapes = [line_shape(each) for each in batch]
        async with self.redis.pipeline(transaction=False) as pipeline:
            stream = keys.log_stream(self.deployment_id)
            pipeline.xadd(stream, {"lines": json.dumps(shapes)}, id=f"{shapes[-1]['seq']}-0")
            if published:
                message = json.dumps({"deploymentID": self.deployment_id, "lines": shapes})
                pipeline.publish(keys.log_channel(self.project_id), message)
            await pipeline.execute()

    async def archive(self, whole: Iterable[LogLine]) -> None:
        await write_build_log(self.store, self.project_id, self.deployment_id, 1, BuildLog(list(whole), None))

    async def mark(self, status: Status) -> None:
        await self._connection.execute(
            "UPDATE deployments SET status = $2 WHERE id = $1", self.deployment_id, status.value
        )

    async def end(self, status: Status = Status.READY) -> None:
        await self.mark(status)
        await Announcer(self.redis).announce(StatusChanged(self.deployment_id, status))


@asynccontextmanager
async def building(dsn: str, redis_url: str, artifacts: Path, project_id: ProjectID) -> AsyncIterator[Build]:
    """Ended, where the test has not done it, so that it holds up no other test's build."""
    artifacts.mkdir(exist_ok=True)
    connection = await asyncpg.connect(dsn)
    try:
        async with Redis.from_url(redis_url) as redis:
            build = Build(connection, redis, DirectoryStore(artifacts), project_id)
            await build.begin()
            yield build
            await build.mark(Status.CANCELED)
    finally:
        await connection.close()
