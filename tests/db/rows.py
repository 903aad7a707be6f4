"""Rows that a test of the database starts from, made by the functions that the server uses."""

from dataclasses import dataclass
from datetime import timedelta

from scalemesh.db.deployments import insert_deployment
from scalemesh.db.pool import Pool
from scalemesh.db.projects import get_project, insert_project
from scalemesh.db.queue import BuildFacts, Claim, claim_deployment, mark_published
from scalemesh.db.users import insert_user
from scalemesh.keys import new_id
from scalemesh.model import (
    BuildSettings,
    Deployment,
    DeploymentID,
    Failure,
    Project,
    ProjectID,
    QueueLimits,
    UserID,
)

LEASE = timedelta(seconds=30)
TIMEOUT = timedelta(minutes=15)
BROKEN = Failure("build_failed", "The build failed.", "Look at it.")
FACTS = BuildFacts(commit="c" * 40, commit_message="One", framework="static", files=2, bytes=30)


@dataclass(frozen=True, slots=True)
class Rows:
    pool: Pool

    async def user(self) -> UserID:
        user_id = UserID(new_id())
        email = f"{user_id}@example.com"
        await insert_user(
            self.pool, user_id=user_id, name="Ada", email=email, email_key=email, password_hash="x"
        )
        return user_id

    async def project(self, user_id: UserID | None = None, *, slug: str = "") -> Project:
        project_id = ProjectID(new_id())
        return await insert_project(
            self.pool,
            project_id=project_id,
            user_id=user_id or await self.user(),
            name="A project",
            slug=slug or f"site-{project_id}",
            git_url="https://example.com/x.git",
            build=BuildSettings(branch="main"),
            env_encrypted=None,
        )

    async def deployment(
        self, project: Project, *, ref: str | None = None, key: str | None = None, no_cache: bool = False
    ) -> Deployment:
        queued = await insert_deployment(
            self.pool,
            deployment_id=DeploymentID(new_id()),
            project_id=project.id,
            user_id=project.user_id,
            ref=ref,
            no_cache=no_cache,
            idempotency_key=key,
        )
        return queued.deployment

    async def claim(
        self, *, worker: str = "worker", concurrency: int = 100, per_user: int = 100
    ) -> Claim | None:
        return await claim_deployment(
            self.pool,
            worker=worker,
            lease=LEASE,
            timeout=TIMEOUT,
            limits=QueueLimits(builds=concurrency, builds_per_user=per_user),
        )

    async def building(self, project: Project, *, ref: str | None = None) -> Claim:
        """A new deployment that is claimed; nothing else may be waiting."""
        deployment = await self.deployment(project, ref=ref)
        claim = await self.claim()
        assert claim is not None
        assert claim.deployment_id == deployment.id
        return claim

    async def live(self, project: Project) -> DeploymentID:
        """A new deployment that is published."""
        return await self.published(project)

    async def preview(self, project: Project) -> DeploymentID:
        """A new deployment of another branch that is published."""
        return await self.published(project, ref="feature")

    async def published(self, project: Project, *, ref: str | None = None) -> DeploymentID:
        claim = await self.building(project, ref=ref)
        await mark_published(self.pool, claim, FACTS)
        return claim.deployment_id

    async def lapse(self) -> None:
        """Every lease ran out a moment ago."""
        await self.pool.execute("UPDATE deployments SET lease_until = now() - interval '1 ms'")

    async def production(self, project: Project) -> DeploymentID | None:
        return (await get_project(self.pool, project.id, project.user_id)).production_id

    async def row(self, deployment_id: DeploymentID) -> dict[str, object]:
        row = await self.pool.fetchrow("SELECT * FROM deployments WHERE id = $1", deployment_id)
        assert row is not None
        return dict(row)

    async def status(self, deployment_id: DeploymentID) -> object:
        return (await self.row(deployment_id))["status"]
