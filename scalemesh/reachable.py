"""What is set and can't be reached: told at start, together, each with the variable to change."""

import asyncio
import logging
import socket

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError

from scalemesh.addresses import without_password
from scalemesh.artifacts.store import ArtifactStore, StoreUnavailable
from scalemesh.db.migrate import migrate
from scalemesh.settings import Settings

logger = logging.getLogger(__name__)

# Redis or a store that takes longer must not keep the server from serving what it can.
_CHECK_TIMEOUT_S = 3.0


class CannotReach(Exception):
    """The server can't start. ``str(error)`` has a line for each part, with the variable and the fix."""


async def migrate_and_check(dsn: str, redis: Redis, store: ArtifactStore, settings: Settings) -> None:
    """Migrates the database, and warns of a Redis or a store that is away: they may come back.

    Raises CannotReach where the database can't be used; it names what else is away too.
    """
    if not settings.redis_tls_verify:
        logger.warning(
            "REDIS_TLS_VERIFY=0: the certificate of %s is NOT checked; whoever is on the way can pass for it",
            without_password(settings.redis_url),
        )
    async with asyncio.TaskGroup() as checks:
        others = [
            checks.create_task(_look_at_redis(redis, settings)),
            checks.create_task(_look_at_store(store, settings)),
        ]
        database = checks.create_task(_migrated(dsn))
    away = [sentence for check in others if (sentence := check.result())]
    if broken := database.result():
        raise CannotReach("\n".join([str(broken), *away])) from broken
    if away:
        logger.warning("%s", "\n".join(away))


async def migrate_database(dsn: str) -> list[str]:
    """The names of the migrations that were applied. Raises CannotReach."""
    try:
        return await migrate(dsn)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        said = str(error).rstrip(".") or "no answer in time"
        raise CannotReach(
            f"DATABASE_URL: {without_password(dsn)} can't be used: {said}. {_database_fix(error)}"
        ) from error


async def _migrated(dsn: str) -> CannotReach | None:
    try:
        await migrate_database(dsn)
    except CannotReach as error:
        return error
    return None


async def _look_at_redis(redis: Redis, settings: Settings) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await redis.ping()
    except (RedisError, TimeoutError) as error:
        said = str(error).rstrip(".") or "no answer in time"
        return f"REDIS_URL: {without_password(settings.redis_url)} can't be used: {said}. {_redis_fix(error)}"
    return None


async def _look_at_store(store: ArtifactStore, settings: Settings) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await store.check()
    except (StoreUnavailable, TimeoutError) as error:
        place = f"{store.url}{settings.s3_endpoint_url and ' at ' + settings.s3_endpoint_url}"
        return (
            f"S3_BUCKET: {place} can't be used: {str(error) or 'no answer in time'}. {_store_fix(str(error))}"
        )
    return None


def _database_fix(error: Exception) -> str:
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            return "Correct the user and the password."
        case asyncpg.InvalidCatalogNameError():
            return "Create the database, or correct its name."
        case asyncpg.InsufficientPrivilegeError():
            return "Give its user the right to make tables in it."
        case socket.gaierror():
            return "Correct the host's name."
        case _:
            return "Start it, or correct host, port and sslmode."


def _redis_fix(error: Exception) -> str:
    if isinstance(error, AuthenticationError):
        return "Correct the user and the password."
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            "Add ?ssl_ca_certs=/path/ca.pem, or set REDIS_TLS_VERIFY=0 where the certificate is self-signed."
        )
    return "Start it, or correct the address."


def _store_fix(said: str) -> str:
    if "404" in said:
        return "Make the bucket, or correct its name."
    if "403" in said:
        return "Give the keys or the role s3:ListBucket on it, or correct AWS_ACCESS_KEY_ID."
    return "Correct S3_ENDPOINT_URL, or give keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or a role."
