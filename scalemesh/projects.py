"""Projects: a name, a repository, and how it is built."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from scalemesh import keys
from scalemesh.auth.secretbox import SecretBox
from scalemesh.db import deployments, projects
from scalemesh.db.pool import Pool
from scalemesh.errors import InvalidInput
from scalemesh.fields.git import host_of
from scalemesh.fields.names import slug_of
from scalemesh.fields.variables import apply_changes
from scalemesh.logs.events import Announcer, SiteChanged
from scalemesh.model import (
    BuildSettings,
    Deployment,
    Project,
    ProjectID,
    Target,
    User,
    VariableChange,
    Variables,
)

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class ProjectFields:
    """What the owner decides about a new project, checked."""

    name: str
    git_url: str
    build: BuildSettings
    env: Sequence[VariableChange] = ()
    access_token: str | None = None


@dataclass(frozen=True, slots=True)
class ProjectView:
    """A project with the deployment that is live and the newest one."""

    project: Project
    production: Deployment | None
    latest: Deployment | None


@dataclass(frozen=True, slots=True)
class ProjectPage:
    items: Sequence[ProjectView]
    next: str | None


class Projects:
    def __init__(self, pool: Pool, announcer: Announcer, secrets: SecretBox) -> None:
        self._pool = pool
        self._announcer = announcer
        self._secrets = secrets

    async def create(self, user: User, fields: ProjectFields) -> ProjectView:
        """Raises InvalidInput (the name makes a reserved address, the variables), SlugTaken."""
        project_id = ProjectID(keys.new_id())
        try:
            slug = slug_of(fields.name)
        except ValueError as error:
            raise InvalidInput({"name": str(error)}) from None
        project = await projects.insert_project(
            self._pool,
            project_id=project_id,
            user_id=user.id,
            name=fields.name,
            slug=slug or f"site-{project_id[:6]}",
            git_url=fields.git_url,
            build=fields.build,
            env_encrypted=self._secrets.seal(_changed({}, fields.env)),
            access_token_encrypted=self._secrets.seal_token(fields.access_token),
        )
        return ProjectView(project, None, None)

    async def get(self, user: User, project_id: ProjectID) -> ProjectView:
        """Raises ProjectNotFound."""
        project = await projects.get_project(self._pool, project_id, user.id)
        return (await self._with_deployments(user, [project]))[0]

    async def page(self, user: User, *, cursor: str | None) -> ProjectPage:
        found = await projects.list_projects(
            self._pool, user.id, after=ProjectID(cursor) if cursor else None, limit=PAGE_SIZE + 1
        )
        shown = found[:PAGE_SIZE]
        more = len(found) > PAGE_SIZE
        return ProjectPage(await self._with_deployments(user, shown), shown[-1].id if more else None)

    async def update(self, user: User, project_id: ProjectID, changes: Mapping[str, object]) -> ProjectView:
        """``changes`` holds fields of ProjectFields and BuildSettings by name, and only those to change.

        ``env`` is a sequence of VariableChange. An access token goes to no other host than the one it was
        saved for. Raises ProjectNotFound, InvalidInput (the variables).
        """
        project = await projects.get_project(self._pool, project_id, user.id)
        build_changes = {
            name: changes[name] for name in BuildSettings.__dataclass_fields__ if name in changes
        }
        env_encrypted = await projects.fetch_env_encrypted(self._pool, project_id)
        if (env := changes.get("env")) is not None:
            assert isinstance(env, Sequence)
            env_encrypted = self._secrets.seal(_changed(self._secrets.open(env_encrypted), env))
        git_url = str(changes.get("git_url", project.git_url))
        token_encrypted = await projects.fetch_access_token_encrypted(self._pool, project_id)
        if "access_token" in changes:
            token = changes["access_token"]
            token_encrypted = self._secrets.seal_token(str(token) if token is not None else None)
        elif host_of(git_url) != host_of(project.git_url):
            token_encrypted = None
        await projects.update_project(
            self._pool,
            project_id=project_id,
            user_id=user.id,
            name=str(changes.get("name", project.name)),
            git_url=git_url,
            build=replace(project.build, **build_changes),  # type: ignore[arg-type]
            env_encrypted=env_encrypted,
            access_token_encrypted=token_encrypted,
        )
        return await self.get(user, project_id)

    async def env_scopes(self, user: User, project_id: ProjectID) -> Mapping[str, Collection[Target]]:
        """The project's variables by name; their values are never shown again. Raises ProjectNotFound."""
        project = await projects.get_project(self._pool, project_id, user.id)
        variables = self._secrets.open(await projects.fetch_env_encrypted(self._pool, project.id))
        return {name: frozenset(values) for name, values in sorted(variables.items())}

    async def has_access_token(self, user: User, project_id: ProjectID) -> bool:
        """Whether there is one; it is never shown again. Raises ProjectNotFound."""
        project = await projects.get_project(self._pool, project_id, user.id)
        return await projects.fetch_access_token_encrypted(self._pool, project.id) is not None

    async def delete(self, user: User, project_id: ProjectID) -> None:
        """Raises ProjectNotFound."""
        await projects.delete_project(self._pool, project_id, user.id)
        await self._announcer.announce(SiteChanged(project_id))

    async def _with_deployments(self, user: User, found: Sequence[Project]) -> list[ProjectView]:
        ids = [project.id for project in found]
        production = await deployments.list_production_deployments(self._pool, ids, user.id)
        latest = await deployments.list_latest_deployments(self._pool, ids, user.id)
        return [ProjectView(project, production.get(project.id), latest.get(project.id)) for project in found]


def _changed(kept: Variables, changes: Sequence[VariableChange]) -> Variables:
    try:
        return apply_changes(kept, changes)
    except ValueError as error:
        raise InvalidInput({"env": str(error)}) from None
