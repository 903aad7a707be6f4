"""The deployments table, as people see it. ``db/queue.py`` has the same table as builders see it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import asyncpg

from scalemesh.db.pool import Pool
from scalemesh.errors import (
    CannotCancel,
    CannotPromote,
    DeploymentNotFound,
    IdempotencyConflict,
    ProjectNotFound,
    TooManyRequests,
)
from scalemesh.model import Deployment, DeploymentID, Failure, ProjectID, Status, Target, UserID

COLUMNS = """
    deployments.id, deployments.project_id, number, status, target, ref, commit_sha, commit_message,
    framework, attempt, files, bytes, deployments.created_at, started_at, finished_at,
    error_code, error_message, error_hint, error_line
"""

# Twenty waiting builds of one project are a script gone wrong, not a person at work.
MAX_QUEUED_PER_PROJECT = 20


@dataclass(frozen=True, slots=True)
class Queued:
    """A deployment that waits now, and those that need not wait any more because of it."""

    deployment: Deployment
    superseded: Sequence[DeploymentID]


def deployment_record(row: asyncpg.Record) -> Deployment:
    failure = None
    if row["error_code"]:
        failure = Failure(row["error_code"], row["error_message"], row["error_hint"], row["error_line"])
    return Deployment(
        id=DeploymentID(row["id"]),
        project_id=ProjectID(row["project_id"]),
        number=row["number"],
        status=Status(row["status"]),
        target=Target(row["target"]),
        ref=row["ref"],
        commit=row["commit_sha"],
        commit_message=row["commit_message"],
        framework=row["framework"],
        attempt=row["attempt"],
        files=row["files"],
        bytes=row["bytes"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        failure=failure,
    )


async def insert_deployment(
    pool: Pool,
    *,
    deployment_id: DeploymentID,
    project_id: ProjectID,
    user_id: UserID,
    ref: str | None,
    no_cache: bool,
    idempotency_key: str | None,
) -> Queued:
    """Queue a deployment, or return the one that the same key queued before.

    Of one branch only the newest waits: those that were queued before it are superseded, if they have its
    target too.
    Raises ProjectNotFound, IdempotencyConflict (the key came with another request), TooManyRequests.
    """
    async with pool.acquire() as connection, connection.transaction():
        # The project's row is the lock under which numbers are given out and keys compared.
        project = await connection.fetchrow(
            """
            SELECT branch
            FROM projects
            WHERE id = $1
              AND user_id = $2
              AND deleted_at IS NULL
            FOR UPDATE
            """,
            project_id,
            user_id,
        )
        if project is None:
            raise ProjectNotFound
        if idempotency_key is not None:
            row = await connection.fetchrow(
                f"""
                SELECT {COLUMNS}, no_cache
                FROM deployments
                WHERE project_id = $1
                  AND idempotency_key = $2
                """,  # noqa: S608
                project_id,
                idempotency_key,
            )
            if row is not None:
                if (row["ref"], row["no_cache"]) != (ref, no_cache):
                    raise IdempotencyConflict
                return Queued(deployment_record(row), ())
        target = Target.of(ref=ref, branch=project["branch"])
        superseded = await connection.fetch(
            """
            UPDATE deployments
            SET status = 'superseded', finished_at = now()
            WHERE project_id = $1
              AND status = 'queued'
              AND target = $4
              AND coalesce(ref, $3) IS NOT DISTINCT FROM coalesce($2, $3)
            RETURNING id
            """,
            project_id,
            ref,
            project["branch"],
            target.value,
        )
        queued = await connection.fetchval(
            "SELECT count(*) FROM deployments WHERE project_id = $1 AND status = 'queued'", project_id
        )
        if queued >= MAX_QUEUED_PER_PROJECT:
            raise TooManyRequests(
                f"{queued} deployments of this project are waiting already. "
                "Cancel some of them, or wait until they are built.",
                retry_after_s=30,
            )
        row = await connection.fetchrow(
            f"""
            INSERT INTO deployments (id, project_id, number, target, ref, no_cache, idempotency_key)
            SELECT $1, $2, coalesce(max(number), 0) + 1, $3, $4, $5, $6
            FROM deployments
            WHERE project_id = $2
            RETURNING {COLUMNS}
            """,  # noqa: S608
            deployment_id,
            project_id,
            target.value,
            ref,
            no_cache,
            idempotency_key,
        )
    assert row is not None
    return Queued(deployment_record(row), [DeploymentID(old["id"]) for old in superseded])


async def get_deployment(pool: Pool, deployment_id: DeploymentID, user_id: UserID) -> Deployment:
    """Raises DeploymentNotFound, for somebody else's deployment too."""
    row = await pool.fetchrow(
        f"""
        SELECT {COLUMNS}
        FROM deployments
        JOIN projects ON projects.id = deployments.project_id
        WHERE deployments.id = $1
          AND projects.user_id = $2
          AND projects.deleted_at IS NULL
        """,  # noqa: S608
        deployment_id,
        user_id,
    )
    if row is None:
        raise DeploymentNotFound
    return deployment_record(row)


async def get_status(pool: Pool, deployment_id: DeploymentID) -> Status:
    """For those who were let in already. Raises DeploymentNotFound."""
    status = await pool.fetchval("SELECT status FROM deployments WHERE id = $1", deployment_id)
    if status is None:
        raise DeploymentNotFound
    return Status(status)


async def list_statuses(pool: Pool, deployment_ids: Collection[DeploymentID]) -> dict[DeploymentID, Status]:
    """Of those of them whose project is there, for those who were let in already."""
    rows = await pool.fetch(
        """
        SELECT deployments.id, deployments.status
        FROM deployments
        JOIN projects ON projects.id = deployments.project_id
        WHERE deployments.id = ANY ($1::text[])
          AND projects.deleted_at IS NULL
        """,
        list(deployment_ids),
    )
    return {DeploymentID(row["id"]): Status(row["status"]) for row in rows}


async def get_attempt(pool: Pool, deployment_id: DeploymentID) -> int:
    """The last one; 0 where none was made. Raises DeploymentNotFound."""
    attempt: int | None = await pool.fetchval("SELECT attempt FROM deployments WHERE id = $1", deployment_id)
    if attempt is None:
        raise DeploymentNotFound
    return attempt


async def list_deployments(
    pool: Pool, project_id: ProjectID, user_id: UserID, *, before_number: int | None, limit: int
) -> Sequence[Deployment]:
    """The project's deployments, newest first. An empty list for a project that isn't the user's."""
    rows = await pool.fetch(
        f"""
        SELECT {COLUMNS}
        FROM deployments
        JOIN projects ON projects.id = deployments.project_id
        WHERE deployments.project_id = $1
          AND projects.user_id = $2
          AND ($3::integer IS NULL OR number < $3)
        ORDER BY number DESC
        LIMIT $4
        """,  # noqa: S608
        project_id,
        user_id,
        before_number,
        limit,
    )
    return [deployment_record(row) for row in rows]


async def list_latest_deployments(
    pool: Pool, project_ids: Sequence[ProjectID], user_id: UserID
) -> dict[ProjectID, Deployment]:
    """The newest deployment of each of the user's projects that has one."""
    rows = await pool.fetch(
        f"""
        SELECT DISTINCT ON (deployments.project_id) {COLUMNS}
        FROM deployments
        JOIN projects ON projects.id = deployments.project_id
        WHERE deployments.project_id = ANY ($1::text[])
          AND projects.user_id = $2
        ORDER BY deployments.project_id, number DESC
        """,  # noqa: S608
        project_ids,
        user_id,
    )
    return {ProjectID(row["project_id"]): deployment_record(row) for row in rows}


async def list_production_deployments(
    pool: Pool, project_ids: Sequence[ProjectID], user_id: UserID
) -> dict[ProjectID, Deployment]:
    """The deployment that is live, of each of the user's projects that has one."""
    rows = await pool.fetch(
        f"""
        SELECT {COLUMNS}
        FROM projects
        JOIN deployments ON deployments.id = projects.production_id
        WHERE projects.id = ANY ($1::text[])
          AND projects.user_id = $2
        """,  # noqa: S608
        project_ids,
        user_id,
    )
    return {ProjectID(row["project_id"]): deployment_record(row) for row in rows}


async def request_cancel(pool: Pool, deployment_id: DeploymentID, user_id: UserID) -> Deployment:
    """A queued deployment is canceled at once; of a building one, the worker that holds it is asked.

    Raises DeploymentNotFound, CannotCancel (it has ended).
    """
    row = await pool.fetchrow(
        f"""
        UPDATE deployments
        SET status = CASE status WHEN 'queued' THEN 'canceled' ELSE status END,
            finished_at = CASE status WHEN 'queued' THEN now() END,
            cancel_wanted = true
        FROM projects
        WHERE projects.id = deployments.project_id
          AND deployments.id = $1
          AND projects.user_id = $2
          AND projects.deleted_at IS NULL
          AND status IN ('queued', 'building')
        RETURNING {COLUMNS}
        """,  # noqa: S608
        deployment_id,
        user_id,
    )
    if row is None:
        ended = await get_deployment(pool, deployment_id, user_id)
        raise CannotCancel(f"This deployment has ended already: it is {ended.status}.")
    return deployment_record(row)


async def promote_deployment(pool: Pool, deployment_id: DeploymentID, user_id: UserID) -> Deployment:
    """Make it the one that visitors see. Raises DeploymentNotFound, CannotPromote."""
    async with pool.acquire() as connection, connection.transaction():
        # A promote, a publish and a delete of one project take turns on its row.
        project_id = await connection.fetchval(
            """
            SELECT projects.id
            FROM projects
            JOIN deployments ON deployments.project_id = projects.id
            WHERE deployments.id = $1
              AND projects.user_id = $2
              AND projects.deleted_at IS NULL
            FOR UPDATE OF projects
            """,
            deployment_id,
            user_id,
        )
        if project_id is None:
            raise DeploymentNotFound
        row = await connection.fetchrow(
            f"""
            UPDATE deployments
            SET status = 'ready'
            WHERE id = $1
              -- One that was superseded while it waited has no files.
              AND (status = 'ready' OR (status = 'superseded' AND files IS NOT NULL))
            RETURNING {COLUMNS}
            """,  # noqa: S608
            deployment_id,
        )
        if row is not None:
            await connection.execute(
                "UPDATE projects SET production_id = $2 WHERE id = $1", project_id, deployment_id
            )
            return deployment_record(row)
    current = await get_deployment(pool, deployment_id, user_id)
    raise CannotPromote(f"Only a finished deployment can go live; this one is {current.status}.")
