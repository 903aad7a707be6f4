"""The Redis user of builders, by the ACL line of docs/deploy-aws.md, on a real Valkey: it writes, no more."""

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from builder.live import RedisLive
from builder.log import Line, Phase, Stream
from scalemesh import keys
from scalemesh.logs.stream import read_lines
from scalemesh.model import DeploymentID, ProjectID
from tests.parts.server import eventually

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "deploy-aws.md"


@pytest.fixture
async def builder_url(redis_url: str) -> AsyncIterator[str]:
    """REDIS_BUILDER_URL of a user that is made as the document says."""
    found = re.search(r"ACL SETUSER scalemesh-builder (.+)", DOCUMENT.read_text())
    assert found is not None
    password = secrets.token_hex(8)
    rules = found[1].replace("PASSWORD", password).split()
    async with Redis.from_url(redis_url) as admin:
        await _run(admin, "ACL", "SETUSER", "scalemesh-builder", "reset", *rules)
        yield f"unix://scalemesh-builder:{password}@{urlsplit(redis_url).path}"
        await _run(admin, "ACL", "DELUSER", "scalemesh-builder")


async def _run(redis: Redis, *words: str) -> object:
    return await redis.execute_command(*words)  # type: ignore[no-untyped-call]


async def test_a_builder_writes_its_log_with_it(redis_url: str, builder_url: str) -> None:
    live = RedisLive(builder_url, "proj1", "dep1")
    async with Redis.from_url(redis_url) as redis, redis.pubsub() as listening:
        await listening.subscribe(keys.log_channel(ProjectID("proj1")))
        live.send(Line(1, "t", Stream.STDOUT, Phase.BUILD, "one"))
        await live.close(5, archived_attempt=1)
        [line] = await read_lines(redis, DeploymentID("dep1"), 0)
        assert line.text == "one"
        assert await redis.ttl(keys.log_archived(DeploymentID("dep1"), 1)) > 0

        async def heard() -> bool:
            message = await listening.get_message(ignore_subscribe_messages=True, timeout=1)
            return message is not None

        await eventually(heard)


REFUSED: dict[str, Callable[[Redis], Awaitable[object]]] = {
    "read of a log": lambda redis: redis.xrange("build-log:dep2"),
    "length of a log": lambda redis: redis.xlen("build-log:dep2"),
    "another key": lambda redis: redis.xadd("limits:ada", {"x": 1}),
    "another channel": lambda redis: redis.publish(keys.EVENTS_CHANNEL, "{}"),
    "a subscription": lambda redis: _run(redis, "SUBSCRIBE", "logs:proj2"),
    "a deletion": lambda redis: redis.delete("build-log:dep2"),
    "the keys": lambda redis: redis.keys(),
    "a script": lambda redis: redis.eval("return 1", 0),
    "the settings": lambda redis: redis.config_get("*"),
    "the users": lambda redis: _run(redis, "ACL", "LIST"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_anything_else_is_refused(builder_url: str, what: str) -> None:
    async with Redis.from_url(builder_url) as redis:
        with pytest.raises(NoPermissionError):
            await REFUSED[what](redis)
