"""Servers that share a database and a launcher whose builds outlive them."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Generic, TypeVar

from redis.asyncio import Redis

from scalemesh.artifacts import DirectoryStore
from scalemesh.auth.secretbox import SecretBox
from scalemesh.builds.dispatcher import Dispatcher
from scalemesh.builds.launcher import Launcher
from scalemesh.builds.order import BuildPlace
from scalemesh.builds.worker import Worker
from scalemesh.db.queue import Claim
from scalemesh.logs.archive import BuildLog, BuildResult, write_build_log
from scalemesh.logs.events import Announcer
from scalemesh.logs.writers import LogWriters
from scalemesh.model import DeploymentID, LogLine, ProjectID, QueueLimits
from tests.db.rows import Rows
from tests.parts.server import eventually

L = TypeVar("L", bound=Launcher)


@dataclass(frozen=True, slots=True)
class Fleet(Generic[L]):
    """Servers of one database and one launcher, started and ended at will."""

    rows: Rows
    redis: Redis
    redis_url: str
    store: DirectoryStore
    launcher: L

    @property
    def writers(self) -> LogWriters:
        return LogWriters(self.redis, self.redis_url)

    def dispatcher(self, *, concurrency: int = 0) -> Dispatcher:
        worker = Worker(
            self.rows.pool,
            self.redis,
            self.store,
            self.launcher,
            SecretBox("a key for tests only"),
            BuildPlace(
                artifacts=self.store.url,
                s3_endpoint_url="",
                redis_url=self.redis_url,
                sandbox="none",
                allow_local_repos=False,
                examples=Path("/nonexistent"),
            ),
            site_url=lambda slug: f"http://{slug}.localhost",
            writers=self.writers,
        )
        announcer = Announcer(self.redis)
        return Dispatcher(
            self.rows.pool,
            self.store,
            worker,
            announcer,
            limits=QueueLimits(builds=concurrency, builds_per_user=1),
            build_timeout=timedelta(hours=1),
            queue_timeout=timedelta(hours=1),
            alone=False,
        )

    async def publish(self, claim: Claim) -> None:
        """As the builder does at its end."""
        await self.publish_attempt(claim.project_id, claim.deployment_id, claim.attempt)

    async def publish_attempt(
        self, project_id: ProjectID, deployment_id: DeploymentID, attempt: int = 1
    ) -> None:
        result = BuildResult(attempt, 0, "c" * 40, "One", "static", 2, 30, None)
        log = BuildLog([LogLine(1, "t", "system", "publish", "Published.")], result)
        await write_build_log(self.store, project_id, deployment_id, attempt, log)

    async def until(self, claim: Claim, status: str) -> None:
        await eventually(lambda: self.rows.status(claim.deployment_id), lambda seen: seen == status)

    async def taken(self, claim: Claim) -> None:
        """Waits until another worker than the claim's has it."""
        await eventually(
            lambda: self.rows.row(claim.deployment_id), lambda row: row["worker"] not in (None, claim.worker)
        )
