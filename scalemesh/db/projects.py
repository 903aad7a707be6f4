"""The projects table. Every read and write by a person names the owner in its WHERE clause."""

from collections.abc import Sequence

import asyncpg

from scalemesh.db.pool import Pool
from scalemesh.errors import ProjectNotFound, SlugTaken
from scalemesh.model import BuildSettings, DeploymentID, Project, ProjectID, UserID

_COLUMNS = """
    id, user_id, name, slug, git_url, branch, root_directory, install_command, build_command,
    output_directory, production_id, created_at
"""


def _project(row: asyncpg.Record) -> Project:
    production_id = row["production_id"]
    return Project(
        id=ProjectID(row["id"]),
        user_id=UserID(row["user_id"]),
        name=row["name"],
        slug=row["slug"],
        git_url=row["git_url"],
        build=BuildSettings(
            branch=row["branch"],
            root_directory=row["root_directory"],
            install_command=row["install_command"],
            build_command=row["build_command"],
            output_directory=row["output_directory"],
        ),
        production_id=DeploymentID(production_id) if production_id else None,
        created_at=row["created_at"],
    )


async def insert_project(
    pool: Pool,
    *,
    project_id: ProjectID,
    user_id: UserID,
    name: str,
    slug: str,
    git_url: str,
    build: BuildSettings,
    env_encrypted: bytes | None,
    access_token_encrypted: bytes | None = None,
) -> Project:
    """Raises SlugTaken where the slug is, or ever was, somebody else's, or is a project's id."""
    try:
        row = await pool.fetchrow(
            f"""
            INSERT INTO projects (
                id, user_id, name, slug, git_url, branch, root_directory, install_command, build_command,
                output_directory, env_encrypted, access_token_encrypted
            )
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
            WHERE NOT EXISTS (
                SELECT FROM projects
                WHERE (slug = $4 AND user_id <> $2) OR id = $4
            )
            RETURNING {_COLUMNS}
            """,  # noqa: S608 - _COLUMNS is a constant
            project_id,
            user_id,
            name,
            slug,
            git_url,
            build.branch,
            build.root_directory,
            build.install_command,
            build.build_command,
            build.output_directory,
            env_encrypted,
            access_token_encrypted,
        )
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "projects_live_slug_key":
            raise SlugTaken(slug) from None
        raise
    if row is None:
        raise SlugTaken(slug)
    return _project(row)


async def get_project(pool: Pool, project_id: ProjectID, user_id: UserID) -> Project:
    """Raises ProjectNotFound, for somebody else's project too."""
    row = await pool.fetchrow(
        f"""
        SELECT {_COLUMNS}
        FROM projects
        WHERE id = $1
          AND user_id = $2
          AND deleted_at IS NULL
        """,  # noqa: S608
        project_id,
        user_id,
    )
    if row is None:
        raise ProjectNotFound
    return _project(row)


async def list_projects(
    pool: Pool, user_id: UserID, *, after: ProjectID | None, limit: int
) -> Sequence[Project]:
    """The user's projects, newest first, those after the project ``after``."""
    rows = await pool.fetch(
        f"""
        SELECT {_COLUMNS}
        FROM projects
        WHERE user_id = $1
          AND deleted_at IS NULL
          AND ($2::text IS NULL OR (created_at, id) < (
              SELECT created_at, id FROM projects WHERE id = $2 AND user_id = $1
          ))
        ORDER BY created_at DESC, id DESC
        LIMIT $3
        """,  # noqa: S608
        user_id,
        after,
        limit,
    )
    return [_project(row) for row in rows]


async def update_project(
    pool: Pool,
    *,
    project_id: ProjectID,
    user_id: UserID,
    name: str,
    git_url: str,
    build: BuildSettings,
    env_encrypted: bytes | None,
    access_token_encrypted: bytes | None,
) -> Project:
    """Replace what the owner may change. The slug stays: links to the site go on working.

    Raises ProjectNotFound.
    """
    row = await pool.fetchrow(
        f"""
        UPDATE projects
        SET name = $3, git_url = $4, branch = $5, root_directory = $6, install_command = $7,
            build_command = $8, output_directory = $9, env_encrypted = $10,
            access_token_encrypted = $11
        WHERE id = $1
          AND user_id = $2
          AND deleted_at IS NULL
        RETURNING {_COLUMNS}
        """,  # noqa: S608
        project_id,
        user_id,
        name,
        git_url,
        build.branch,
        build.root_directory,
        build.install_command,
        build.build_command,
        build.output_directory,
        env_encrypted,
        access_token_encrypted,
    )
    if row is None:
        raise ProjectNotFound
    return _project(row)


async def fetch_env_encrypted(pool: Pool, project_id: ProjectID) -> bytes | None:
    encrypted: bytes | None = await pool.fetchval(
        "SELECT env_encrypted FROM projects WHERE id = $1", project_id
    )
    return encrypted


async def fetch_access_token_encrypted(pool: Pool, project_id: ProjectID) -> bytes | None:
    encrypted: bytes | None = await pool.fetchval(
        "SELECT access_token_encrypted FROM projects WHERE id = $1", project_id
    )
    return encrypted


async def delete_project(pool: Pool, project_id: ProjectID, user_id: UserID) -> None:
    """The site is gone at once, its queued builds are canceled, a running one is asked to stop.

    Raises ProjectNotFound.
    """
    async with pool.acquire() as connection, connection.transaction():
        found = await connection.fetchval(
            """
            UPDATE projects
            SET deleted_at = now(), production_id = NULL, env_encrypted = NULL,
                access_token_encrypted = NULL
            WHERE id = $1
              AND user_id = $2
              AND deleted_at IS NULL
            RETURNING true
            """,
            project_id,
            user_id,
        )
        if not found:
            raise ProjectNotFound
        await connection.execute(
            """
            UPDATE deployments
            SET status = CASE status WHEN 'queued' THEN 'canceled' ELSE status END,
                finished_at = CASE status WHEN 'queued' THEN now() END,
                cancel_wanted = true
            WHERE project_id = $1
              AND status IN ('queued', 'building')
            """,
            project_id,
        )


async def list_projects_to_purge(pool: Pool, *, limit: int) -> list[ProjectID]:
    """Deleted projects whose artifacts are still stored and that no build writes to any more."""
    rows = await pool.fetch(
        """
        SELECT id
        FROM projects
        WHERE deleted_at IS NOT NULL
          AND purged_at IS NULL
          AND NOT EXISTS (
              SELECT FROM deployments
              WHERE deployments.project_id = projects.id
                AND deployments.status = 'building'
          )
        ORDER BY deleted_at
        LIMIT $1
        """,
        limit,
    )
    return [ProjectID(row["id"]) for row in rows]


async def mark_project_purged(pool: Pool, project_id: ProjectID) -> None:
    await pool.execute("UPDATE projects SET purged_at = now() WHERE id = $1", project_id)
