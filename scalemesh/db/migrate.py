"""Applies ``migrations/*.sql`` in the order of their names, each once, each in a transaction."""

from pathlib import Path

import asyncpg

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"

# Any constant serves, as long as every server uses the same one: they take turns on it.
_ADVISORY_LOCK = 7_225_321


async def migrate(dsn: str) -> list[str]:
    """Bring the database at ``dsn`` up to date; returns the names that were applied.

    Servers that start together wait for one another.
    """
    connection = await asyncpg.connect(dsn, timeout=10.0)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
        await connection.execute(
            """
            CREATE TABLE IF NOT EXISTS schema_migrations (
                name       text        PRIMARY KEY,
                applied_at timestamptz NOT NULL DEFAULT now()
            )
            """
        )
        done = {row["name"] for row in await connection.fetch("SELECT name FROM schema_migrations")}
        applied = []
        for path in sorted(MIGRATIONS.glob("*.sql")):
            if path.stem in done:
                continue
            async with connection.transaction():
                await connection.execute(path.read_text())
                await connection.execute("INSERT INTO schema_migrations (name) VALUES ($1)", path.stem)
            applied.append(path.stem)
        return applied
    finally:
        await connection.close()
