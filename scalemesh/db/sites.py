"""Where a site's host leads."""

from collections.abc import Sequence
from datetime import timedelta

import asyncpg

from scalemesh.db.pool import Pool
from scalemesh.model import BuildID, DeploymentID, ProjectID, SiteRoute


async def fetch_production_route(pool: Pool, label: str) -> SiteRoute | None:
    """``label`` is a project's id or slug. None where there is none, or nothing of it is live."""
    row = await pool.fetchrow(
        """
        SELECT project_id, deployments.id, attempt
        FROM projects
        JOIN deployments ON deployments.id = production_id
        WHERE (projects.id = $1 OR slug = $1)
          AND deleted_at IS NULL
        """,
        label,
    )
    return _route(row, preview=False) if row else None


async def fetch_preview_route(pool: Pool, label: str, deployment_id: str) -> SiteRoute | None:
    row = await pool.fetchrow(
        """
        SELECT project_id, deployments.id, attempt
        FROM deployments
        JOIN projects ON projects.id = deployments.project_id
        WHERE deployments.id = $2
          AND (projects.slug = $1 OR projects.id = $1)
          AND projects.deleted_at IS NULL
          AND status IN ('ready', 'superseded')
        """,
        label,
        deployment_id,
    )
    return _route(row, preview=True) if row else None


async def list_earlier_deployments(
    pool: Pool, project_id: ProjectID, deployment_id: DeploymentID, *, since: timedelta, limit: int
) -> Sequence[BuildID]:
    """The project's deployments that are live or were within ``since``, the latest first, but this one.

    One that is live now is among them for a server that has not heard of it yet.
    """
    rows = await pool.fetch(
        """
        SELECT deployments.id, attempt
        FROM deployments
        JOIN projects ON projects.id = deployments.project_id
        WHERE deployments.project_id = $1
          AND deployments.id <> $2
          AND projects.deleted_at IS NULL
          AND (deployments.id = projects.production_id OR live_until > now() - $3::interval)
        ORDER BY (deployments.id = projects.production_id) DESC, live_until DESC
        LIMIT $4
        """,
        project_id,
        deployment_id,
        since,
        limit,
    )
    return [BuildID(DeploymentID(row["id"]), row["attempt"]) for row in rows]


def _route(row: asyncpg.Record, *, preview: bool) -> SiteRoute:
    deployment_id = DeploymentID(row["id"])
    return SiteRoute(ProjectID(row["project_id"]), deployment_id, row["attempt"], preview=preview)
