"""Where a site's host leads."""

from scalemesh.db.pool import Pool
from scalemesh.model import DeploymentID, ProjectID, SiteRoute


async def fetch_production_route(pool: Pool, label: str) -> SiteRoute | None:
    """``label`` is a project's id or slug. None where there is none, or nothing of it is live."""
    row = await pool.fetchrow(
        """
        SELECT id, production_id
        FROM projects
        WHERE (id = $1 OR slug = $1)
          AND deleted_at IS NULL
        """,
        label,
    )
    if row is None or row["production_id"] is None:
        return None
    return SiteRoute(ProjectID(row["id"]), DeploymentID(row["production_id"]), preview=False)


async def fetch_preview_route(pool: Pool, label: str, deployment_id: str) -> SiteRoute | None:
    row = await pool.fetchrow(
        """
        SELECT deployments.id, project_id
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
    if row is None:
        return None
    return SiteRoute(ProjectID(row["project_id"]), DeploymentID(row["id"]), preview=True)
