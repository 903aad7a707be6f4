"""A pool on a migrated database without rows."""

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from scalemesh.db.pool import Pool, open_pool
from tests.db.rows import Rows


@pytest.fixture(scope="session")
async def shared_pool(postgres_dsn: str, migrated_template: str) -> AsyncIterator[Pool]:
    """Emptying one database is some ten times as quick as making another."""
    name = f"rows_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(postgres_dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    finally:
        await connection.close()
    async with open_pool(urlsplit(postgres_dsn)._replace(path=f"/{name}").geturl()) as pool:
        yield pool


@pytest.fixture
async def pool(shared_pool: Pool) -> Pool:
    await shared_pool.execute("TRUNCATE users CASCADE")
    return shared_pool


@pytest.fixture
async def rows(pool: Pool) -> Rows:
    return Rows(pool)
