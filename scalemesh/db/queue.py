"""The deployments table as a queue: claims, leases, outcomes.

Time is the database's clock. Every write names the attempt and the worker it belongs to, so that a worker
that lost its lease changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from scalemesh.db.deployments import COLUMNS, deployment_record
from scalemesh.db.pool import Pool
from scalemesh.db.waiting import LINE
from scalemesh.model import (
    BuildID,
    BuildSettings,
    Deployment,
    DeploymentID,
    Failure,
    ProjectID,
    QueueLimits,
    Status,
    Target,
)

# What lies outside the user's control is tried this often; the user's own failure once.
MAX_ATTEMPTS = 3

# Any constant serves, as long as every server uses the same one: claims take turns on it.
_CLAIM_LOCK = 7_225_322

_CLAIMED = """
    deployments.id, project_id, attempt, worker, target, slug, git_url, coalesce(ref, branch) AS ref, branch,
    root_directory, install_command, build_command, output_directory, env_encrypted,
    access_token_encrypted, no_cache, started_at, deadline_at, production_id,
    (SELECT live.attempt FROM deployments AS live WHERE live.id = production_id) AS production_attempt
"""


class LostLease(Exception):
    """Another worker or the sweep has taken the deployment; this one's word no longer counts."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A deployment that this worker builds, with what its project says about the build."""

    deployment_id: DeploymentID
    project_id: ProjectID
    attempt: int
    worker: str
    target: Target
    slug: str
    git_url: str
    ref: str | None
    build: BuildSettings
    env_encrypted: bytes | None
    access_token_encrypted: bytes | None
    no_cache: bool
    started_at: datetime
    """Of the first attempt."""
    deadline: datetime
    production: BuildID | None
    """What is live as this one is claimed."""


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """What the builder learned, as far as it came."""

    commit: str | None = None
    commit_message: str | None = None
    framework: str | None = None
    files: int | None = None
    bytes: int | None = None


def _claim(row: asyncpg.Record) -> Claim:
    return Claim(
        deployment_id=DeploymentID(row["id"]),
        project_id=ProjectID(row["project_id"]),
        attempt=row["attempt"],
        worker=row["worker"],
        target=Target(row["target"]),
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
        access_token_encrypted=row["access_token_encrypted"],
        no_cache=row["no_cache"],
        started_at=row["started_at"],
        deadline=row["deadline_at"],
        production=(
            BuildID(DeploymentID(row["production_id"]), row["production_attempt"])
            if row["production_id"]
            else None
        ),
    )


async def claim_deployment(
    pool: Pool, *, worker: str, lease: timedelta, timeout: timedelta, limits: QueueLimits
) -> Claim | None:
    """Take the deployment whose turn it is, or None.

    Users take turns: first whoever has the fewest builds running, of those whoever was served longest
    ago, and of one user's the oldest. ``timeout`` is how long the build may take, all attempts together.
    """
    async with pool.acquire() as connection, connection.transaction():
        # Two claims at once would not see each other's build, and together exceed the limits.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _CLAIM_LOCK)
        row = await connection.fetchrow(
            f"""
            WITH {LINE}, candidate AS (
                SELECT deployments.id, line.user_id
                FROM line
                JOIN deployments ON deployments.id = line.id
                WHERE NOT line.project_busy
                  AND NOT line.resting
                  AND line.user_running < $4
                  AND line.running < $3
                ORDER BY line.position
                LIMIT 1
                FOR UPDATE OF deployments SKIP LOCKED
            ), served AS (
                UPDATE users
                SET served_at = now()
                FROM candidate
                WHERE users.id = candidate.user_id
            )
            UPDATE deployments
            SET status = 'building', attempt = attempt + 1, worker = $1, lease_until = now() + $2::interval,
                started_at = coalesce(started_at, now()),
                deadline_at = coalesce(deadline_at, now() + $5::interval)
            FROM candidate, projects
            WHERE deployments.id = candidate.id
              AND deployments.status = 'queued'
              AND projects.id = deployments.project_id
            RETURNING {_CLAIMED}
            """,  # noqa: S608
            worker,
            lease,
            limits.builds,
            limits.builds_per_user,
            timeout,
        )
    return _claim(row) if row else None


async def expire_waiting(pool: Pool, *, longest: timedelta, failure: Failure) -> list[DeploymentID]:
    """Fail what has waited longer than ``longest``; returns those."""
    rows = await pool.fetch(
        """
        UPDATE deployments
        SET status = 'failed', finished_at = now(), error_code = $2, error_message = $3, error_hint = $4
        WHERE status = 'queued'
          AND created_at < now() - $1::interval
        RETURNING id
        """,
        longest,
        failure.code,
        failure.message,
        failure.hint,
    )
    return [DeploymentID(row["id"]) for row in rows]


async def take_over_lapsed(pool: Pool, *, worker: str, lease: timedelta) -> Claim | None:
    """Take a deployment from a worker whose lease ran out, or None. The attempt stays the same.

    ``worker`` must be a name that no claim had before, or the old worker is not kept out.
    """
    row = await pool.fetchrow(
        f"""
        WITH lapsed AS (
            SELECT deployments.id
            FROM deployments
            WHERE status = 'building'
              AND lease_until < now()
            ORDER BY lease_until
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        )
        UPDATE deployments
        SET worker = $1, lease_until = now() + $2::interval
        FROM lapsed, projects
        WHERE deployments.id = lapsed.id
          AND projects.id = deployments.project_id
        RETURNING {_CLAIMED}
        """,  # noqa: S608
        worker,
        lease,
    )
    return _claim(row) if row else None


async def shorten_leases(pool: Pool, left: timedelta) -> None:
    """For a server that knows to be the only one: whoever held a lease before it is gone."""
    await pool.execute(
        """
        UPDATE deployments
        SET lease_until = now() + $1::interval
        WHERE status = 'building'
          AND lease_until > now() + $1::interval
        """,
        left,
    )


async def list_attempts_building(pool: Pool) -> list[tuple[DeploymentID, int]]:
    """Of every server; as many as the limit on builds at once."""
    rows = await pool.fetch(
        """
        SELECT id, attempt
        FROM deployments
        WHERE status = 'building'
        """
    )
    return [(DeploymentID(row["id"]), row["attempt"]) for row in rows]


async def renew_lease(pool: Pool, claim: Claim, lease: timedelta) -> bool:
    """Hold the deployment a little longer; true where its cancel is wanted. Raises LostLease."""
    cancel_wanted: bool = await _change_held(
        pool,
        claim,
        "lease_until = now() + $4::interval",
        lease,
        returning="cancel_wanted",
    )
    return cancel_wanted


async def let_lapse(pool: Pool, claim: Claim) -> None:
    """Anybody may take it over now. Raises LostLease.

    Nobody holds it until then, so that a renewal which was canceled on its way here finds nothing to renew.
    """
    await _change_held(pool, claim, "lease_until = now(), worker = 'nobody'")


async def mark_published(pool: Pool, claim: Claim, facts: BuildFacts) -> Deployment:
    """The upload is whole: go live, or be ``superseded`` where a newer deployment went live first.

    A preview is ready and leaves what is live. A cancel that came before makes it ``canceled``.
    Raises LostLease.
    """
    async with pool.acquire() as connection, connection.transaction():
        # Deploys and publishes of one project take turns on its row, so "newer" has one meaning.
        await connection.execute("SELECT FROM projects WHERE id = $1 FOR UPDATE", claim.project_id)
        row = await connection.fetchrow(
            f"""
            UPDATE deployments
            SET status = CASE
                    WHEN cancel_wanted THEN 'canceled'
                    WHEN target = 'production' AND EXISTS (
                        SELECT FROM deployments AS newer
                        JOIN projects ON projects.id = newer.project_id
                        WHERE newer.project_id = deployments.project_id
                          AND newer.number > deployments.number
                          AND newer.status = 'ready'
                          -- A preview that was promoted went live too.
                          AND (newer.target = 'production' OR newer.id = projects.production_id)
                    ) THEN 'superseded'
                    ELSE 'ready'
                END,
                commit_sha = $4, commit_message = $5, framework = $6, files = $7, bytes = $8,
                finished_at = now(), worker = NULL, lease_until = NULL
            WHERE id = $1
              AND attempt = $2
              AND worker = $3
              AND status = 'building'
            RETURNING {COLUMNS}
            """,  # noqa: S608
            claim.deployment_id,
            claim.attempt,
            claim.worker,
            facts.commit,
            facts.commit_message,
            facts.framework,
            facts.files,
            facts.bytes,
        )
        if row is None:
            raise LostLease
        deployment = deployment_record(row)
        if deployment.status is Status.READY and deployment.target is Target.PRODUCTION:
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
    await _change_held(
        pool,
        claim,
        """
        status = $4, finished_at = now(), worker = NULL, lease_until = NULL,
        error_code = $5, error_message = $6, error_hint = $7,
        commit_sha = $8, commit_message = $9, framework = $10, error_line = $11
        """,
        status.value,
        failure.code if failure else None,
        failure.message if failure else None,
        failure.hint if failure else None,
        facts.commit,
        facts.commit_message,
        facts.framework,
        failure.line if failure else None,
    )


async def requeue(pool: Pool, claim: Claim, *, after: timedelta) -> Status:
    """Give the deployment back: ``queued``, or ``canceled`` where that is wanted. Raises LostLease.

    Nobody takes it before ``after``, give or take half: what broke for many is not tried by all at once.
    """
    return await _give_back(pool, claim, after, began=True)


async def put_back(pool: Pool, claim: Claim, *, after: timedelta) -> Status:
    """As ``requeue``, of an attempt that never began: it does not count. Raises LostLease.

    Of the first one no time of the build has passed either; a later one keeps the deadline of all.
    """
    return await _give_back(pool, claim, after, began=False)


async def _give_back(pool: Pool, claim: Claim, after: timedelta, *, began: bool) -> Status:
    status = await _change_held(
        pool,
        claim,
        """
        status = CASE WHEN cancel_wanted THEN 'canceled' ELSE 'queued' END,
        finished_at = CASE WHEN cancel_wanted THEN now() END,
        worker = NULL, lease_until = NULL,
        attempt = CASE WHEN $5 THEN attempt ELSE attempt - 1 END,
        started_at = CASE WHEN $5 OR attempt > 1 THEN started_at END,
        deadline_at = CASE WHEN $5 OR attempt > 1 THEN deadline_at END,
        retry_at = now() + $4::interval * (0.5 + random())
        """,
        after,
        began,
        returning="status",
    )
    return Status(status)


async def _change_held(
    pool: Pool, claim: Claim, change: str, *values: object, returning: str = "TRUE"
) -> Any:
    """Set ``change``, whose $4 and on are ``values``, where the claim holds its row; gives ``returning``.

    Both are SQL of this module's. Raises LostLease where it does not.
    """
    found = await pool.fetchval(
        f"""
        UPDATE deployments
        SET {change}
        WHERE id = $1
          AND attempt = $2
          AND worker = $3
          AND status = 'building'
        RETURNING {returning}
        """,  # noqa: S608
        claim.deployment_id,
        claim.attempt,
        claim.worker,
        *values,
    )
    if found is None:
        raise LostLease
    return found
