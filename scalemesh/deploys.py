"""Deployments: asking for one, watching one, stopping one, choosing which is live."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scalemesh import keys
from scalemesh.db import deployments, projects, waiting
from scalemesh.db.pool import Pool
from scalemesh.logs.events import Announcer, SiteChanged, StatusChanged
from scalemesh.model import Deployment, DeploymentID, Project, ProjectID, QueueLimits, Status, User

PAGE_SIZE = 30


@dataclass(frozen=True, slots=True)
class DeploymentPage:
    items: Sequence[Deployment]
    next: str | None


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """A deployment with its project, which gives it its address."""

    deployment: Deployment
    project: Project


class Deploys:
    """``wake`` is called when there is work for the dispatcher; it must not block."""

    def __init__(
        self, pool: Pool, announcer: Announcer, limits: QueueLimits, wake: Callable[[], None]
    ) -> None:
        self._pool = pool
        self._limits = limits
        self._announcer = announcer
        self._wake = wake

    async def deploy(
        self,
        user: User,
        project_id: ProjectID,
        *,
        ref: str | None,
        no_cache: bool,
        idempotency_key: str | None,
    ) -> DeploymentView:
        """The row is committed when this returns.

        Raises ProjectNotFound, IdempotencyConflict, TooManyRequests.
        """
        queued = await deployments.insert_deployment(
            self._pool,
            deployment_id=DeploymentID(keys.new_id()),
            project_id=project_id,
            user_id=user.id,
            ref=ref,
            no_cache=no_cache,
            idempotency_key=idempotency_key,
        )
        self._wake()
        for superseded in queued.superseded:
            await self._announcer.announce(StatusChanged(superseded, Status.SUPERSEDED))
        return await self._view(user, queued.deployment)

    async def get(self, user: User, deployment_id: DeploymentID) -> DeploymentView:
        """Raises DeploymentNotFound."""
        return await self._view(user, await deployments.get_deployment(self._pool, deployment_id, user.id))

    async def page(self, user: User, project_id: ProjectID, *, before_number: int | None) -> DeploymentPage:
        """Raises ProjectNotFound."""
        await projects.get_project(self._pool, project_id, user.id)
        found = await deployments.list_deployments(
            self._pool, project_id, user.id, before_number=before_number, limit=PAGE_SIZE + 1
        )
        shown = await self._with_waiting(found[:PAGE_SIZE])
        more = len(found) > PAGE_SIZE
        return DeploymentPage(shown, str(shown[-1].number) if more else None)

    async def cancel(self, user: User, deployment_id: DeploymentID) -> DeploymentView:
        """Raises DeploymentNotFound, CannotCancel."""
        deployment = await deployments.request_cancel(self._pool, deployment_id, user.id)
        if deployment.status.is_final:
            await self._announcer.announce(StatusChanged(deployment.id, deployment.status))
        self._wake()
        return await self._view(user, deployment)

    async def promote(self, user: User, deployment_id: DeploymentID) -> DeploymentView:
        """Raises DeploymentNotFound, CannotPromote."""
        deployment = await deployments.promote_deployment(self._pool, deployment_id, user.id)
        await self._announcer.announce(SiteChanged(deployment.project_id))
        return await self._view(user, deployment)

    async def _view(self, user: User, deployment: Deployment) -> DeploymentView:
        [deployment] = await self._with_waiting([deployment])
        return DeploymentView(
            deployment, await projects.get_project(self._pool, deployment.project_id, user.id)
        )

    async def _with_waiting(self, found: Sequence[Deployment]) -> Sequence[Deployment]:
        """The same, each queued one with its place in the line."""
        queued = [deployment.id for deployment in found if deployment.status is Status.QUEUED]
        if not queued:
            return found
        places = await waiting.list_waiting(self._pool, queued, self._limits)
        return [replace(deployment, waiting=places.get(deployment.id)) for deployment in found]
