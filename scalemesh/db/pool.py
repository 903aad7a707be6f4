"""The one asyncpg pool that everything shares."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

# Every request holds a connection for a few milliseconds at most, so ten serve hundreds of users.
POOL_MAX_CONNECTIONS = 10
# A query that takes longer is a fault somewhere else; the visitor should hear of it, not wait.
COMMAND_TIMEOUT_S = 10.0

UNAVAILABLE: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.TooManyConnectionsError,
    # Where Postgres goes away in the middle of taking or giving back a connection.
    asyncpg.InternalClientError,
)
"""What asyncpg raises when Postgres can't be reached, rather than when it refuses a statement."""


@asynccontextmanager
async def open_pool(dsn: str) -> AsyncIterator[Pool]:
    async with asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=POOL_MAX_CONNECTIONS,
        command_timeout=COMMAND_TIMEOUT_S,
        timeout=5.0,
        server_settings={"application_name": "scalemesh"},
    ) as pool:
        yield pool


async def check(pool: Pool) -> None:
    """Raise where Postgres doesn't answer."""
    await pool.fetchval("SELECT 1")
