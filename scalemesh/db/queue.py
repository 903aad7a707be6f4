"""The deployments table as a queue: claims, leases, outcomes.

Time is the database's clock. Every write names the attempt it belongs to, so that a worker that lost
its lease changes nothing.
"""

from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from scalemesh.db.deployments import COLUMNS, deployment_record
from scalemesh.db.pool import Pool
from scalemesh.model import BuildSettings, Deployment, DeploymentID, Failure, ProjectID, Status

# What lies outside the user's control is tried this often; the user's own failure once.
MAX_ATTEMPTS = 3


class LostLease(Exception):
    """Another worker, a cancel or the sweep has taken the deployment; this one's word no longer counts."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A deployment that this worker builds, with what its project says about the build."""

    deployment_id: DeploymentID
    project_id: ProjectID
    attempt: int
    slug: str
    git_url: str
    ref: str | None
    build: BuildSettings
    env_encrypted: bytes | None
    no_cache: bool


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """What the builder learned, as far as it came."""

    commit: str | None = None
    commit_message: str | None = None
    framework: str | None = None
    files: int | None = None
    bytes: int | None = None


async def claim_deployment(pool: Pool, *, worker: str, lease: timedelta, concurrency: int) -> Claim | None:
    """Take the oldest deployment that may be built now, or None.

    One build a project, ``concurrency`` in all.
    """
    try:
        row = await pool.fetchrow(
            """
            WITH candidate AS (
                SELECT deployments.id
                FROM deployments
                WHERE status = 'queued'
                  AND NOT EXISTS (
                      SELECT FROM deployments AS running
                      WHERE running.project_id = deployments.project_id
                        AND running.status = 'building'
                  )
                  AND (SELECT count(*) FROM deployments WHERE status = 'building') < $3
                ORDER BY created_at, id
                LIMIT 1
                FOR UPDATE SKIP LOCKED
            )
            UPDATE deployments
            SET status = 'building', attempt = attempt + 1, worker = $1, lease_until = now() + $2::interval,
                started_at = coalesce(started_at, now())
            FROM candidate, projects
            WHERE deployments.id = candidate.id
              AND projects.id = deployments.project_id
            RETURNING deployments.id, project_id, attempt, slug, git_url, coalesce(ref, branch) AS ref,
                branch, root_directory, install_command, build_command, output_directory, env_encrypted,
                no_cache
            """,
            worker,
            lease,
            concurrency,
        )
    except asyncpg.UniqueViolationError as error:
        # Two dispatchers took two deployments of one project at the same moment; this one lets go.
        if error.constraint_name == "deployments_one_building_key":
            return None
        raise
    if row is None:
        return None
    return Claim(
        deployment_id=DeploymentID(row["id"]),
        project_id=ProjectID(row["project_id"]),
        attempt=row["attempt"],
        slug=row["slug"],
        git_url=row["git_url"],
        ref=row["ref"],
        build=BuildSettings(
            branch=row["branch"],
            root_directory=row["root_directory"],
            install_command=row["install_command"],
            build_command=row["build_command"],
            output_directory=row["output_directory"],
        ),
        env_encrypted=row["env_encrypted"],
        no_cache=row["no_cache"],
    )


async def renew_lease(pool: Pool, claim: Claim, lease: timedelta) -> bool:
    """Hold the deployment a little longer; true where its cancel is wanted. Raises LostLease."""
    cancel_wanted: bool | None = await pool.fetchval(
        """
        UPDATE deployments
        SET lease_until = now() + $3::interval
        WHERE id = $1
          AND attempt = $2
          AND status = 'building'
        RETURNING cancel_wanted
        """,
        claim.deployment_id,
        claim.attempt,
        lease,
    )
    if cancel_wanted is None:
        raise LostLease
    return cancel_wanted


async def mark_published(pool: Pool, claim: Claim, facts: BuildFacts) -> Deployment:
    """The upload is whole: go live, or be ``superseded`` where a newer deployment went live first.

    Raises LostLease, also where a cancel came before.
    """
    async with pool.acquire() as connection, connection.transaction():
        # Deploys and publishes of one project take turns on its row, so "newer" has one meaning.
        await connection.execute("SELECT FROM projects WHERE id = $1 FOR UPDATE", claim.project_id)
        row = await connection.fetchrow(
            f"""
            UPDATE deployments
            SET status = CASE WHEN EXISTS (
                    SELECT FROM deployments AS newer
                    WHERE newer.project_id = deployments.project_id
                      AND newer.number > deployments.number
                      AND newer.status = 'ready'
                ) THEN 'superseded' ELSE 'ready' END,
                commit_sha = $3, commit_message = $4, framework = $5, files = $6, bytes = $7,
                finished_at = now(), worker = NULL, lease_until = NULL
            WHERE id = $1
              AND attempt = $2
              AND status = 'building'
              AND NOT cancel_wanted
            RETURNING {COLUMNS}
            """,  # noqa: S608
            claim.deployment_id,
            claim.attempt,
            facts.commit,
            facts.commit_message,
            facts.framework,
            facts.files,
            facts.bytes,
        )
        if row is None:
            raise LostLease
        deployment = deployment_record(row)
        if deployment.status is Status.READY:
            await connection.execute(
                """
                UPDATE projects
                SET production_id = $2
                WHERE id = $1
                  AND deleted_at IS NULL
                """,
                claim.project_id,
                claim.deployment_id,
            )
    return deployment


async def mark_failed(pool: Pool, claim: Claim, failure: Failure, facts: BuildFacts) -> None:
    """Raises LostLease."""
    await _end(pool, claim, Status.FAILED, failure, facts)


async def mark_canceled(pool: Pool, claim: Claim, facts: BuildFacts) -> None:
    """Raises LostLease."""
    await _end(pool, claim, Status.CANCELED, None, facts)


async def _end(pool: Pool, claim: Claim, status: Status, failure: Failure | None, facts: BuildFacts) -> None:
    found = await pool.fetchval(
        """
        UPDATE deployments
        SET status = $3, finished_at = now(), worker = NULL, lease_until = NULL,
            error_code = $4, error_message = $5, error_hint = $6,
            commit_sha = $7, commit_message = $8, framework = $9
        WHERE id = $1
          AND attempt = $2
          AND status = 'building'
        RETURNING true
        """,
        claim.deployment_id,
        claim.attempt,
        status.value,
        failure.code if failure else None,
        failure.message if failure else None,
        failure.hint if failure else None,
        facts.commit,
        facts.commit_message,
        facts.framework,
    )
    if not found:
        raise LostLease


async def requeue(pool: Pool, claim: Claim) -> None:
    """Give the deployment back: what broke was not the user's. Raises LostLease."""
    found = await pool.fetchval(
        """
        UPDATE deployments
        SET status = 'queued', worker = NULL, lease_until = NULL
        WHERE id = $1
          AND attempt = $2
          AND status = 'building'
        RETURNING true
        """,
        claim.deployment_id,
        claim.attempt,
    )
    if not found:
        raise LostLease


@dataclass(frozen=True, slots=True)
class Swept:
    deployment_id: DeploymentID
    project_id: ProjectID
    status: Status


async def sweep_lapsed(pool: Pool, lost: Failure) -> list[Swept]:
    """Take deployments from workers whose lease ran out: build again, cancel, or fail with ``lost``."""
    rows = await pool.fetch(
        """
        UPDATE deployments
        SET status = CASE
                WHEN cancel_wanted THEN 'canceled'
                WHEN attempt >= $1 THEN 'failed'
                ELSE 'queued'
            END,
            finished_at = CASE WHEN cancel_wanted OR attempt >= $1 THEN now() END,
            error_code = CASE WHEN NOT cancel_wanted AND attempt >= $1 THEN $2 END,
            error_message = CASE WHEN NOT cancel_wanted AND attempt >= $1 THEN $3 END,
            error_hint = CASE WHEN NOT cancel_wanted AND attempt >= $1 THEN $4 END,
            worker = NULL, lease_until = NULL
        WHERE status = 'building'
          AND lease_until < now()
        RETURNING id, project_id, status
        """,
        MAX_ATTEMPTS,
        lost.code,
        lost.message,
        lost.hint,
    )
    return [
        Swept(DeploymentID(row["id"]), ProjectID(row["project_id"]), Status(row["status"])) for row in rows
    ]
