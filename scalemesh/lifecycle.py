"""Every resource's scope, in the order in which they need one another."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from scalemesh.artifacts import open_store
from scalemesh.artifacts.store import ArtifactStore
from scalemesh.auth.passwords import Passwords
from scalemesh.aws import Aws
from scalemesh.db.pool import Pool, open_pool
from scalemesh.embedded.data_dir import hold_data_dir
from scalemesh.embedded.servers import EmbeddedServers, embedded_servers
from scalemesh.examples import prepare_examples
from scalemesh.reachable import migrate_and_check
from scalemesh.settings import Settings, session_key
from scalemesh.sites import DiskCache, open_disk_cache

logger = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[1]

# Long enough for a loaded Redis, short enough that a person waits for the error and not for ever.
_REDIS_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Resources:
    """What an application runs on. ``listening`` is a Redis client that waits without a timeout."""

    servers: EmbeddedServers
    pool: Pool
    redis: Redis
    listening: Redis
    redis_url: str
    store: ArtifactStore
    disk: DiskCache | None
    """Of sites' files, where the store is far away."""
    passwords: Passwords
    session_key: str
    examples: Path


@asynccontextmanager
async def open_resources(
    settings: Settings, aws: Aws, *, servers: EmbeddedServers | None = None
) -> AsyncIterator[Resources]:
    """Start the embedded servers that no setting replaces, migrate, and open everything.

    ``servers`` are those of another process that has done the first two; its data directory is used, not
    held. Raises EmbeddedServerError and CannotReach.
    """
    async with AsyncExitStack() as stack:
        is_first = servers is None
        if servers is None:
            if settings.embeds_postgres or settings.embeds_redis:
                stack.enter_context(hold_data_dir(settings.data_dir))
            servers = await stack.enter_async_context(
                embedded_servers(
                    settings.data_dir.resolve(),
                    postgres=settings.embeds_postgres,
                    redis=settings.embeds_redis,
                )
            )
        dsn = servers.database_url or settings.database
        redis_url = servers.redis_url or settings.redis
        redis = await stack.enter_async_context(_open_redis(redis_url, timeout_s=_REDIS_TIMEOUT_S))
        store = await stack.enter_async_context(
            open_store(
                aws,
                directory=settings.data_dir.resolve() / "artifacts",
                bucket=settings.s3_bucket or None,
                endpoint_url=settings.s3_endpoint_url or None,
            )
        )
        examples = settings.data_dir.resolve() / "examples"
        if is_first:
            await migrate_and_check(dsn, redis, store, settings)
            if settings.offers_examples:
                await prepare_examples(_ROOT / "examples", examples)
        passwords = Passwords()
        stack.callback(passwords.close)
        disk = None
        if settings.s3_bucket and settings.cache_disk_mib:
            directory = settings.data_dir.resolve() / "cache"
            max_bytes = settings.cache_disk_mib * 1024 * 1024
            try:
                disk = await stack.enter_async_context(open_disk_cache(directory, store, max_bytes=max_bytes))
            except OSError as error:
                # A server without it is slower, and a container's disk may be read-only.
                logger.warning(
                    "visited files are not kept on disk: %s. Set DATA_DIR to a directory that can be written "
                    "to, or CACHE_DISK_MIB=0",
                    error,
                )
        yield Resources(
            servers=servers,
            pool=await stack.enter_async_context(open_pool(dsn)),
            redis=redis,
            listening=await stack.enter_async_context(_open_redis(redis_url, timeout_s=None)),
            redis_url=redis_url,
            store=store,
            disk=disk,
            passwords=passwords,
            session_key=session_key(settings),
            examples=examples,
        )


@asynccontextmanager
async def _open_redis(url: str, *, timeout_s: float | None) -> AsyncIterator[Redis]:
    client = Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=_REDIS_TIMEOUT_S,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
    )
    try:
        yield client
    finally:
        await client.aclose()
