"""The line of queued deployments: who is next, and what each one waits for.

The claim and what people are told come from the same query, so the line is never other than it is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scalemesh.db.pool import Pool
from scalemesh.model import DeploymentID, QueueLimits, WaitCause, Waiting

LINE = """
    running AS (
        SELECT projects.user_id, projects.id AS project_id
        FROM deployments
        JOIN projects ON projects.id = deployments.project_id
        WHERE deployments.status = 'building'
    ), running_of_user AS (
        SELECT user_id, count(*) AS builds
        FROM running
        GROUP BY user_id
    ), queued AS (
        SELECT
            deployments.id,
            deployments.created_at,
            projects.id AS project_id,
            projects.user_id,
            users.served_at,
            coalesce(running_of_user.builds, 0) AS user_running,
            coalesce(deployments.retry_at > now(), false) AS resting,
            row_number() OVER (
                PARTITION BY projects.user_id ORDER BY deployments.created_at, deployments.id
            ) AS turn
        FROM deployments
        JOIN projects ON projects.id = deployments.project_id
        JOIN users ON users.id = projects.user_id
        LEFT JOIN running_of_user ON running_of_user.user_id = projects.user_id
        WHERE deployments.status = 'queued'
    ), line AS (
        SELECT
            id,
            user_id,
            user_running,
            resting,
            EXISTS (SELECT FROM running WHERE running.project_id = queued.project_id) AS project_busy,
            (SELECT count(*) FROM running) AS running,
            row_number() OVER (
                ORDER BY user_running + turn, served_at NULLS FIRST, created_at, id
            ) AS position
        FROM queued
    )
"""
"""Common table expressions: ``line`` has each queued deployment with its ``position`` from 1.

A user's second deployment counts as if the first were running already, so two users' builds alternate.
"""


@dataclass(frozen=True, slots=True)
class QueueSize:
    """``oldest_wait_s`` is how long the oldest of the ``queued`` has waited; 0 where there is none."""

    queued: int
    building: int
    oldest_wait_s: float


async def measure_queue(pool: Pool) -> QueueSize:
    row = await pool.fetchrow(
        """
        SELECT
            count(*) FILTER (WHERE status = 'queued') AS queued,
            count(*) FILTER (WHERE status = 'building') AS building,
            coalesce(
                extract(epoch FROM now() - min(created_at) FILTER (WHERE status = 'queued')), 0
            )::float8 AS oldest_wait_s
        FROM deployments
        WHERE status IN ('queued', 'building')
        """
    )
    assert row is not None
    return QueueSize(row["queued"], row["building"], row["oldest_wait_s"])


async def list_waiting(
    pool: Pool, deployment_ids: Sequence[DeploymentID], limits: QueueLimits
) -> dict[DeploymentID, Waiting]:
    """The place of each that is queued."""
    rows = await pool.fetch(
        f"""
        WITH {LINE}
        SELECT
            id,
            position,
            CASE
                WHEN project_busy THEN 'project'
                WHEN resting THEN 'retry'
                WHEN user_running >= $2 THEN 'user'
                WHEN running >= $1 THEN 'builders'
                ELSE 'nothing'
            END AS cause
        FROM line
        WHERE id = ANY ($3::text[])
        """,  # noqa: S608
        limits.builds,
        limits.builds_per_user,
        deployment_ids,
    )
    return {DeploymentID(row["id"]): Waiting(row["position"], WaitCause(row["cause"])) for row in rows}
