import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis

from scalemesh import keys
from scalemesh.accounts import SESSION_LIFETIME
from scalemesh.auth.tokens import new_token, token_hash
from scalemesh.db import projects, sessions, users
from scalemesh.db.pool import Pool, open_pool
from scalemesh.embedded import embedded_valkey, hold_data_dir
from scalemesh.logs import looks as looking
from scalemesh.logs.follow import Logs
from scalemesh.logs.hub import Hub, Watch
from scalemesh.logs.looks import looks
from scalemesh.logs.subscriber import subscriber
from scalemesh.model import BuildSettings, ProjectID, User, UserID
from tests.logs.build import Build, building


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with open_pool(database) as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Owner:
    user: User
    session: bytes
    project_id: ProjectID


@pytest.fixture
async def owner(pool: Pool) -> Owner:
    """Somebody logged in, with a project."""
    email = "ada@example.com"
    user = await users.insert_user(
        pool, user_id=UserID(keys.new_id()), name="Ada", email=email, email_key=email, password_hash="none"
    )
    session = token_hash(new_token())
    await sessions.insert_session(pool, token_hash=session, user_id=user.id, lifetime=SESSION_LIFETIME)
    project_id = ProjectID(keys.new_id())
    await projects.insert_project(
        pool,
        project_id=project_id,
        user_id=user.id,
        name="shop",
        slug="shop",
        git_url="https://example.com/shop.git",
        build=BuildSettings(),
        env_encrypted=None,
    )
    return Owner(user, session, project_id)


@pytest.fixture
async def build(owner: Owner, database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Build]:
    async with building(database, redis_url, tmp_path / "artifacts", owner.project_id) as running:
        yield running


LISTENING = "test-listening"
"""The name that Redis knows a test's subscriber by."""


@dataclass(frozen=True, slots=True)
class Room:
    """What one server process has of the log."""

    hub: Hub
    logs: Logs
    owner: Owner
    build: Build

    def watch(self) -> Watch:
        return Watch(
            self.build.deployment_id, self.build.project_id, self.owner.user.id, self.owner.session.hex()
        )


@pytest.fixture
async def room(
    pool: Pool, redis: Redis, redis_url: str, owner: Owner, build: Build, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Room]:
    monkeypatch.setattr(looking, "LOOK_S", 0.1)
    hub = Hub()
    logs = Logs(pool, redis, build.store, hub)
    async with (
        Redis.from_url(redis_url, client_name=LISTENING, socket_timeout=None) as listening,
        subscriber(listening, hub),
        looks(pool, redis, hub),
    ):
        yield Room(hub, logs, owner, build)


async def kill_clients(redis: Redis, name: str) -> int:
    """Breaks the connections of that name; how many there were."""
    ids = [client["id"] for client in await redis.client_list() if client["name"] == name]
    for client_id in ids:
        await redis.client_kill_filter(_id=client_id)
    return len(ids)


class OwnValkey:
    """A server that a test may stop and start again; its data is kept."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._running = AsyncExitStack()
        self.url = ""

    async def start(self) -> None:
        self.url = await self._running.enter_async_context(embedded_valkey(self._data_dir))

    async def stop(self) -> None:
        await self._running.aclose()


@pytest.fixture
async def own_valkey(tmp_path: Path) -> AsyncIterator[OwnValkey]:
    with hold_data_dir(tmp_path / "valkey") as data_dir:
        server = OwnValkey(data_dir)
        await server.start()
        yield server
        await server.stop()


@pytest.fixture(autouse=True)
def nothing_breaks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever is lost on the way is expected; an error in our own code is not."""
    yield
    assert [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []
