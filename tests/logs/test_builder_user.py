"""The Redis users of builders on a real Valkey, one for all of them and one for each: they write, no more."""

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NotAdmitted
from redis.exceptions import NoPermissionError

from builder.live import RedisLive
from builder.log import Line, Origin, Phase, Stream
from scalemesh import keys
from scalemesh.logs.stream import read_lines
from scalemesh.logs.writers import LogWriters
from scalemesh.model import DeploymentID, ProjectID
from tests.parts.server import eventually

PROJECT, DEPLOYMENT = ProjectID("proj1"), DeploymentID("dep1")
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "deploy-aws.md"


@pytest.fixture
async def builder_url(redis_url: str) -> AsyncIterator[str]:
    """REDIS_BUILDER_URL of a user that is made by the line of docs/deploy-aws.md."""
    found = re.search(r"ACL SETUSER scalemesh-builder (.+)", DOCUMENT.read_text())
    assert found is not None
    password = secrets.token_hex(8)
    rules = found[1].replace("PASSWORD", password).split()
    async with Redis.from_url(redis_url) as admin:
        await _run(admin, "ACL", "SETUSER", "scalemesh-builder", "reset", *rules)
        yield f"unix://scalemesh-builder:{password}@{urlsplit(redis_url).path}"
        await _run(admin, "ACL", "DELUSER", "scalemesh-builder")


@pytest.fixture
async def writers(redis_url: str) -> AsyncIterator[LogWriters]:
    async with Redis.from_url(redis_url) as redis:
        yield (writers := LogWriters(redis, redis_url))
        for deployment_id, attempt in await writers.list_admitted():
            await writers.dismiss(deployment_id, attempt)


@pytest.fixture
async def own_url(writers: LogWriters) -> str:
    """Of a user for one attempt of one deployment."""
    return await writers.admit(PROJECT, DEPLOYMENT, 1)


@pytest.fixture(params=["builder_url", "own_url"])
def any_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


async def _run(redis: Redis, *words: str) -> object:
    return await redis.execute_command(*words)  # type: ignore[no-untyped-call]


async def test_a_builder_writes_its_log_with_it(redis_url: str, any_url: str) -> None:
    live = RedisLive(any_url, PROJECT, DEPLOYMENT)
    async with Redis.from_url(redis_url) as redis, redis.pubsub() as listening:
        await listening.subscribe(keys.log_channel(PROJECT))
        live.send([Line(1, Origin("t", Stream.STDOUT, Phase.BUILD), "one")])
        await live.close(60, archived_attempt=1)
        [line] = await read_lines(redis, DEPLOYMENT, 0)
        assert line.text == "one"
        assert await redis.ttl(keys.log_archived(DEPLOYMENT, 1)) > 0

        async def heard() -> bool:
            message = await listening.get_message(ignore_subscribe_messages=True, timeout=1)
            return message is not None

        await eventually(heard)


REFUSED: dict[str, Callable[[Redis], Awaitable[object]]] = {
    "read of a log": lambda redis: redis.xrange("build-log:dep1"),
    "length of a log": lambda redis: redis.xlen("build-log:dep1"),
    "another key": lambda redis: redis.xadd("limits:ada", {"x": 1}),
    "another channel": lambda redis: redis.publish(keys.EVENTS_CHANNEL, "{}"),
    "a subscription": lambda redis: _run(redis, "SUBSCRIBE", "logs:proj1"),
    "a deletion": lambda redis: redis.delete("build-log:dep1"),
    "the keys": lambda redis: redis.keys(),
    "a script": lambda redis: redis.eval("return 1", 0),
    "the settings": lambda redis: redis.config_get("*"),
    "the users": lambda redis: _run(redis, "ACL", "LIST"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_anything_else_is_refused(any_url: str, what: str) -> None:
    async with Redis.from_url(any_url) as redis:
        with pytest.raises(NoPermissionError):
            await REFUSED[what](redis)


ANOTHERS: dict[str, Callable[[Redis], Awaitable[object]]] = {
    "log": lambda redis: redis.xadd("build-log:dep2", {"lines": "[]"}),
    "log whose name begins alike": lambda redis: redis.xadd("build-log:dep11", {"lines": "[]"}),
    "channel": lambda redis: redis.publish("logs:proj2", "{}"),
    "end": lambda redis: redis.lpush("build-archived:dep2:1", 1),
    "attempt's end": lambda redis: redis.lpush("build-archived:dep1:2", 1),
}


@pytest.mark.parametrize("what", ANOTHERS)
async def test_a_user_of_one_build_writes_to_no_other(own_url: str, what: str) -> None:
    async with Redis.from_url(own_url) as redis:
        with pytest.raises(NoPermissionError):
            await ANOTHERS[what](redis)


async def test_after_the_end_of_its_build_it_is_refused(writers: LogWriters, own_url: str) -> None:
    other = await writers.admit(PROJECT, DEPLOYMENT, 2)
    async with Redis.from_url(own_url) as redis, Redis.from_url(other) as later:
        await redis.xadd("build-log:dep1", {"lines": "[]"}, id="5-0")
        await writers.dismiss(DEPLOYMENT, 1)
        assert await writers.list_admitted() == [(DEPLOYMENT, 2)]
        for _ in ("on the open connection", "on a new one"):
            with pytest.raises(NotAdmitted):
                await redis.xadd("build-log:dep1", {"lines": "[]"}, id="6-0")
        await later.xadd("build-log:dep1", {"lines": "[]"}, id="7-0")


async def test_nobody_comes_in_without_a_password(redis_url: str) -> None:
    address = urlsplit(redis_url)
    for login in ("", "default:@", "default:guessed@", "build-dep1-1:@"):
        async with Redis.from_url(f"unix://{login}{address.path}") as redis:
            with pytest.raises(NotAdmitted):
                await redis.ping()
