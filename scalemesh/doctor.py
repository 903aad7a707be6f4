"""``python scalemesh.py doctor``: each setting against the real thing, a line each, with the fix."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError

from scalemesh import keys
from scalemesh.artifacts.store import StoreUnavailable
from scalemesh.builds.place import ecs_place
from scalemesh.db.pool import UNAVAILABLE
from scalemesh.keys import new_id
from scalemesh.model import DeploymentID, ProjectID
from scalemesh.settings import Settings

_TIMEOUT_S = 30.0
"""Of one check; what answers later is of no use to a server either."""

_DATABASE_AWAY: tuple[type[Exception], ...] = (asyncpg.PostgresError, OSError, *UNAVAILABLE)

Check = Callable[[Settings], Awaitable[list[str]]]


async def run_doctor(settings: Settings) -> int:
    """Prints what it finds. The exit status: 0, or 1 where something is to be fixed."""
    checks: list[tuple[str, str, Check]] = [
        ("DATABASE_URL", settings.database, _check_database),
        ("REDIS_URL", settings.redis_url, _check_redis),
        ("REDIS_BUILDER_URL", settings.redis_builder_url, _check_builder_user),
        ("S3_BUCKET", settings.s3_bucket, _check_bucket),
        ("ECS_CLUSTER", settings.ecs_cluster if settings.builder == "ecs" else "", _check_ecs),
    ]
    failed = False
    for name, value, check in checks:
        if not value:
            _say(f"--    {name}: not set")
            continue
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                mistakes = await check(settings)
        except TimeoutError:
            mistakes = [f"{name}: there was no answer in {_TIMEOUT_S:.0f} s: is it the right address?"]
        for mistake in mistakes:
            _say(f"FAIL  {mistake}")
        if not mistakes:
            _say(f"ok    {name}")
        failed |= bool(mistakes)
    return 1 if failed else 0


async def _check_database(settings: Settings) -> list[str]:
    name = "DATABASE_URL" if settings.database_url else "DBURI"
    try:
        connection = await asyncpg.connect(settings.database, timeout=_TIMEOUT_S)
    except _DATABASE_AWAY as error:
        return [f"{name}: {_said(error)}: correct the address, the user or the password"]
    try:
        if not await connection.fetchval("SELECT has_schema_privilege(current_schema(), 'CREATE')"):
            return [f"{name}: its user can't make tables: GRANT CREATE ON SCHEMA public TO the user"]
    finally:
        await connection.close()
    return []


async def _check_redis(settings: Settings) -> list[str]:
    key = keys.log_stream(DeploymentID(f"doctor-{new_id()}"))
    try:
        async with _redis(settings.redis) as redis:
            await redis.xadd(key, {"lines": "[]"})
            await redis.xrange(key)
            await redis.delete(key)
            await redis.publish(keys.EVENTS_CHANNEL, "{}")
    except RedisError as error:
        return [f"REDIS_URL: {_said(error)}"]
    return []


async def _check_builder_user(settings: Settings) -> list[str]:
    """What it must be able to do, and must not."""
    deployment, project = DeploymentID(f"doctor-{new_id()}"), ProjectID("doctor")
    log, mark = keys.log_stream(deployment), keys.log_archived(deployment, 1)
    other = f"doctor:{new_id()}"
    needed: dict[str, Callable[[Redis], Any]] = {
        "XADD build-log:…": lambda redis: redis.xadd(log, {"lines": "[]"}),
        "PUBLISH logs:…": lambda redis: redis.publish(keys.log_channel(project), "{}"),
        "LPUSH build-archived:…": lambda redis: redis.lpush(mark, 1),
        "EXPIRE build-archived:…": lambda redis: redis.expire(mark, 1),
    }
    too_much: dict[str, Callable[[Redis], Any]] = {
        "read logs": lambda redis: redis.xrange(log),
        "write other keys": lambda redis: redis.xadd(other, {"x": 1}),
        "publish elsewhere": lambda redis: redis.publish(other, "{}"),
    }
    mistakes = []
    try:
        async with _redis(settings.redis_builder) as redis:
            for command, run in needed.items():
                try:
                    await run(redis)
                except NoPermissionError:
                    mistakes.append(f"its user may not {command}")
            for what, run in too_much.items():
                with contextlib.suppress(NoPermissionError):
                    await run(redis)
                    mistakes.append(f"its user may {what}")
    except RedisError as error:
        return [f"REDIS_BUILDER_URL: {_said(error)}"]
    finally:
        with contextlib.suppress(RedisError):
            async with _redis(settings.redis) as redis:
                await redis.delete(log, mark, other)
    return [f"REDIS_BUILDER_URL: {what}: give it the ACL of docs/deploy-aws.md" for what in mistakes]


async def _check_bucket(settings: Settings) -> list[str]:
    # botocore is 25 MB and a third of a second that the other commands do not need.
    from scalemesh.artifacts.s3 import open_s3_store

    project = ProjectID(f"doctor-{new_id()}")
    key = keys.blob(project, "0" * 64)
    doing = "can't be opened"
    try:
        async with open_s3_store(settings.s3_bucket, endpoint_url=settings.s3_endpoint_url or None) as store:
            doing = "can't be written: allow s3:PutObject"
            await store.write(key, b"doctor")
            doing = "can't be read: allow s3:GetObject"
            await store.read(key, max_bytes=100)
            doing = "can't be listed and deleted from: allow s3:ListBucket and s3:DeleteObject"
            await store.delete_prefix(keys.project_prefix(project))
    except StoreUnavailable as error:
        return [f"S3_BUCKET: {settings.s3_bucket} {doing} ({error})"]
    return []


async def _check_ecs(settings: Settings) -> list[str]:
    from scalemesh.builds.ecs import CannotUseECS, open_ecs_client
    from scalemesh.builds.ecs_check import find_mistakes, find_network_mistakes
    from scalemesh.builds.task_watch import AWAY

    place = ecs_place(settings)
    try:
        async with open_ecs_client() as ecs, open_ecs_client("ec2") as ec2:
            return [*await find_mistakes(ecs, place), *await find_network_mistakes(ec2, place)]
    except CannotUseECS as error:
        return [str(error)]
    except AWAY as error:
        said = _said(error)
        return [f"ECS_CLUSTER: ECS does not answer ({said}): correct AWS_DEFAULT_REGION or the network"]


def _redis(url: str) -> Redis:
    return Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S / 2)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what this command is for
