"""A fresh, migrated PostgreSQL database for each test, and Valkey, from the embedded servers."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from redis.asyncio import Redis

from scalemesh.db.migrate import migrate
from scalemesh.embedded import EmbeddedServers, embedded_servers, hold_data_dir

_TEMPLATE = "migrated"


@pytest.fixture(scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServers]:
    path: Path = tmp_path_factory.mktemp("servers")
    with hold_data_dir(path) as data_dir:
        async with embedded_servers(data_dir) as running:
            yield running


@pytest.fixture(scope="session")
async def postgres_dsn(servers: EmbeddedServers) -> str:
    """The URL of an empty database on this worker's PostgreSQL; its user may create others."""
    assert servers.database_url is not None
    return servers.database_url


@pytest.fixture(scope="session")
async def migrated_template(postgres_dsn: str) -> str:
    """The name of a database that has every migration. Nobody may be connected when it is cloned."""
    await _execute(postgres_dsn, f"CREATE DATABASE {_TEMPLATE}")
    await migrate(_with_database(postgres_dsn, _TEMPLATE))
    return _TEMPLATE


@pytest.fixture
async def database(postgres_dsn: str, migrated_template: str) -> AsyncIterator[str]:
    """The URL of a database of this test's own, with every migration and no rows."""
    name = f"test_{secrets.token_hex(6)}"
    await _execute(postgres_dsn, f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    yield _with_database(postgres_dsn, name)
    await _execute(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def redis_url(servers: EmbeddedServers) -> str:
    """The URL of an empty Valkey. Tests of one worker share it, one after another."""
    assert servers.redis_url is not None
    async with Redis.from_url(servers.redis_url) as client:
        await client.flushall()
    return servers.redis_url


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _with_database(dsn: str, name: str) -> str:
    return urlsplit(dsn)._replace(path=f"/{name}").geturl()
