"""Both servers at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from scalemesh.embedded.postgres import embedded_postgres
from scalemesh.embedded.valkey import embedded_valkey


@dataclass(frozen=True, slots=True)
class EmbeddedServers:
    """The URLs of what was asked for; None for what was not."""

    database_url: str | None
    redis_url: str | None


@asynccontextmanager
async def embedded_servers(
    data_dir: Path, *, postgres: bool = True, redis: bool = True
) -> AsyncIterator[EmbeddedServers]:
    """Starts the servers asked for, side by side, and stops them when the block ends.

    ``data_dir`` is held by the caller (`hold_data_dir`). Raises what `embedded_postgres` and
    `embedded_valkey` raise; where both fail, the first.
    """
    async with AsyncExitStack() as running:
        try:
            async with asyncio.TaskGroup() as starting:
                database = (
                    starting.create_task(running.enter_async_context(embedded_postgres(data_dir)))
                    if postgres
                    else None
                )
                valkey = (
                    starting.create_task(running.enter_async_context(embedded_valkey(data_dir)))
                    if redis
                    else None
                )
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        yield EmbeddedServers(
            database_url=database.result() if database else None,
            redis_url=valkey.result() if valkey else None,
        )
