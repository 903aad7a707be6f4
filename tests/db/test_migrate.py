"""Migrations: each once, whoever starts."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from scalemesh.db.migrate import MIGRATIONS, migrate

EVERY_NAME = sorted(path.stem for path in MIGRATIONS.glob("*.sql"))


@pytest.fixture
async def empty_database(postgres_dsn: str) -> AsyncIterator[str]:
    name = f"empty_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(postgres_dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        yield urlsplit(postgres_dsn)._replace(path=f"/{name}").geturl()
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


async def test_applying_twice_does_nothing_the_second_time(empty_database: str) -> None:
    assert await migrate(empty_database) == EVERY_NAME
    assert await migrate(empty_database) == []


async def test_of_servers_that_start_at_once_one_applies_and_all_go_on(empty_database: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_database) for _ in range(4)))
    assert sorted(applied) == [[], [], [], EVERY_NAME]
