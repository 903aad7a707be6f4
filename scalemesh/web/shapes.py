"""What JSON looks like, in one place; the pages show the same shapes."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from scalemesh.deploys import DeploymentView
from scalemesh.model import Deployment, Failure, Project, Target, User, WaitCause
from scalemesh.projects import ProjectView
from scalemesh.settings import Settings

Json = dict[str, Any]


def time(value: datetime | None) -> str | None:
    """RFC 3339 UTC, to the millisecond."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def user(user: User) -> Json:
    return {"id": user.id, "name": user.name, "email": user.email}


def project(view: ProjectView, settings: Settings) -> Json:
    project = view.project
    return {
        "projectID": project.id,
        "name": project.name,
        "slug": project.slug,
        "gitUrl": project.git_url,
        "branch": project.build.branch,
        "rootDirectory": project.build.root_directory,
        "installCommand": project.build.install_command,
        "buildCommand": project.build.build_command,
        "outputDirectory": project.build.output_directory,
        "url": settings.site_url(project.slug),
        "production": deployment(view.production, project, settings) if view.production else None,
        "createdAt": time(project.created_at),
    }


def variables(scopes: Mapping[str, Collection[Target]]) -> Json:
    """Of each name, the choice of a form that says where it is."""
    return {name: next(iter(found)) if len(found) == 1 else "all" for name, found in scopes.items()}


def deployment(deployment: Deployment, project: Project, settings: Settings) -> Json:
    failure = deployment.failure
    return {
        "deploymentID": deployment.id,
        "projectID": deployment.project_id,
        "number": deployment.number,
        "status": deployment.status,
        "target": deployment.target,
        "ref": deployment.ref,
        "commit": deployment.commit,
        "commitMessage": deployment.commit_message,
        "framework": deployment.framework,
        "url": settings.site_url(f"{deployment.id}--{project.slug}"),
        "attempt": deployment.attempt,
        "files": deployment.files,
        "bytes": deployment.bytes,
        "createdAt": time(deployment.created_at),
        "startedAt": time(deployment.started_at),
        "finishedAt": time(deployment.finished_at),
        "waiting": _waiting(deployment, settings),
        "error": _failure(failure) if failure else None,
    }


def _waiting(deployment: Deployment, settings: Settings) -> Json | None:
    """Only of a queued deployment: its place in the line, and a sentence on what it waits for."""
    if deployment.waiting is None:
        return None
    because = {
        WaitCause.PROJECT: "Another build of this project is running.",
        WaitCause.RETRY: "The last try was interrupted; the next one begins in a few seconds.",
        WaitCause.ROOM: "There is no room for another builder now; it is asked for again every few seconds.",
        WaitCause.USER: f"You have {settings.builds_per_user} running already, as many as one user may.",
        WaitCause.BUILDERS: "Every builder is busy with another build.",
        WaitCause.NOTHING: "A builder takes it in a moment.",
    }
    return {"position": deployment.waiting.position, "because": because[deployment.waiting.cause]}


def _failure(failure: Failure) -> Json:
    return {"code": failure.code, "message": failure.message, "hint": failure.hint, "line": failure.line}


def accepted(view: DeploymentView, settings: Settings) -> Json:
    """The answer to POST /deploy."""
    return {
        "deploymentID": view.deployment.id,
        "status": view.deployment.status,
        "target": view.deployment.target,
        "websiteUrl": settings.site_url(view.project.slug),
        "deploymentUrl": settings.site_url(f"{view.deployment.id}--{view.project.slug}"),
        "logsUrl": f"{settings.public_url}/api/deployments/{view.deployment.id}/logs",
    }


def page(items: list[Json], cursor: str | None) -> Json:
    return {"items": items, "next": cursor}
