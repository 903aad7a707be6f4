"""Two server processes that share Postgres, Redis and S3 and nothing else: what one loses, the other has."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from scalemesh.db.pool import Pool, open_pool
from scalemesh.db.queue import shorten_leases
from tests.artifacts.s3_server import S3Server
from tests.parts.git import GitServer
from tests.parts.processes import gate, open_gate, processes_with
from tests.parts.server import Client, eventually
from tests.parts.server_process import ServerProcess, server_process

# A build and what it waits for, on a machine that has other things to do.
BUILD_S = 60.0


@dataclass
class Pair:
    """``first`` and ``second`` may be killed and started again; a log-in at one is a log-in at both."""

    settings: dict[str, str]
    root: Path
    session: aiohttp.ClientSession
    pool: Pool
    stack: AsyncExitStack
    servers: dict[str, ServerProcess] = field(default_factory=dict)

    async def start(self, name: str) -> Client:
        (self.root / name).mkdir(exist_ok=True)
        server = server_process(self.root / name / "data", self.session, **self.settings)
        self.servers[name] = await self.stack.enter_async_context(server)
        return self.servers[name].client

    def client(self, name: str) -> Client:
        return self.servers[name].client

    async def builder_of(self, deployment_id: str) -> str:
        """Which of them has claimed it."""
        worker = await eventually(
            lambda: self.pool.fetchval("SELECT worker FROM deployments WHERE id = $1", deployment_id)
        )
        [name] = [
            name for name, server in self.servers.items() if int(worker.split(":")[1]) == server.process.pid
        ]
        return name

    async def kill(self, name: str) -> None:
        self.servers[name].process.kill()
        await self.servers[name].process.wait()

    def other(self, name: str) -> str:
        return "second" if name == "first" else "first"


@pytest.fixture
async def pair(database: str, redis_url: str, s3_server: S3Server, tmp_path: Path) -> AsyncIterator[Pair]:
    settings = {
        "DATABASE_URL": database,
        "REDIS_URL": redis_url,
        "S3_BUCKET": s3_server.bucket,
        "S3_ENDPOINT_URL": s3_server.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3_server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_access_key,
        "SESSION_KEY": "a key for tests only",
    }
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
        open_pool(database) as pool,
        AsyncExitStack() as stack,
    ):
        pair = Pair(settings, tmp_path, session, pool, stack)
        await asyncio.gather(pair.start("first"), pair.start("second"))
        yield pair


class Console:
    """A log as somebody sees it who reconnects: its lines so far, by number."""

    def __init__(self, deployment_id: str) -> None:
        self._deployment_id = deployment_id
        self.lines: list[tuple[int, str]] = []

    @asynccontextmanager
    async def watching(self, client: Client) -> AsyncIterator["asyncio.Task[str | None]"]:
        """Follows it at ``client`` as a task: the deployment's status at its end, None where it broke off."""
        task = asyncio.create_task(self._follow(client))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _follow(self, client: Client) -> str | None:
        after = self.lines[-1][0] if self.lines else 0
        url = f"{client.origin}/api/deployments/{self._deployment_id}/logs/live?after={after}"
        async with client.session.ws_connect(url, headers={"Origin": client.origin}) as socket:
            async for message in socket:
                frame = message.json()
                assert frame["type"] != "gap"
                self.lines += [(line["seq"], line["text"]) for line in frame.get("lines", ())]
                if frame["type"] == "end":
                    return str(frame["status"])
        return None

    async def shows(self, text: str) -> None:
        await eventually(lambda: [line for line in self.lines if line[1] == text], within_s=BUILD_S)


async def stored_log(client: Client, deployment_id: str) -> list[tuple[int, str]]:
    answer = await client.get(f"/api/deployments/{deployment_id}/logs")
    *lines, end = [json.loads(row) for row in answer.text.splitlines()]
    assert end["type"] == "end"
    return [(line["seq"], line["text"]) for line in lines]


async def test_either_is_killed_in_the_middle_of_a_build_and_nothing_is_lost(
    pair: Pair, git_server: GitServer
) -> None:
    user = pair.client("first")
    await user.sign_up()
    slow = gate()
    url = await git_server.make_repo("two-servers", {"index.html": "one", "build.sh": "echo built"})
    project = await user.project(url, buildCommand="sh build.sh", outputDirectory=".")

    async def shown_by(names: tuple[str, ...], page: str) -> None:
        async with asyncio.TaskGroup() as looking:
            for name in names:
                look = partial(pair.client(name).site, project["url"])
                looking.create_task(eventually(look, lambda answer: answer.text == page, every_s=0.005))

    one = await user.deploy(project["projectID"])
    assert (await user.ended(one, within_s=BUILD_S))["status"] == "ready"
    await shown_by(("first", "second"), "one")

    # Whoever builds is killed; both logs of it are followed, each at another server.
    await git_server.commit("two-servers", {"build.sh": f"echo begun; {slow}"}, "Slow")
    two = await user.deploy(project["projectID"])
    building = await pair.builder_of(two)
    left = pair.other(building)
    there, elsewhere = Console(two), Console(two)
    async with elsewhere.watching(pair.client(left)) as followed:
        async with there.watching(pair.client(building)) as broken_off:
            await asyncio.gather(there.shows("begun"), elsewhere.shows("begun"))
            await git_server.commit("two-servers", {"index.html": "two", "build.sh": "echo built"}, "Quick")
            await pair.kill(building)
            assert await broken_off is None
        assert (await pair.client(left).site(project["url"])).text == "one"
        await eventually(lambda: processes_with(slow), lambda alive: not alive, within_s=BUILD_S)
        # What is left of fifteen seconds in which its server might have come back.
        await shorten_leases(pair.pool, timedelta(0))
        async with there.watching(pair.client(left)) as reconnected:
            assert [await followed, await reconnected] == ["ready", "ready"]
    stored = await stored_log(pair.client(left), two)
    assert there.lines == elsewhere.lines == stored
    assert [number for number, _ in stored] == [*range(1, len(stored) + 1)]
    texts = [text for _, text in stored]
    assert texts.index("begun") < texts.index("built")
    await shown_by((left,), "two")

    # It is back, on its own data directory, and a promotion at one is seen by both.
    user = await pair.start(building)
    assert (await user.get("/user/me")).status == 200
    await shown_by((building,), "two")
    began = time.monotonic()
    assert (await user.post(f"/api/deployments/{one}/promote")).status == 200
    await shown_by(("first", "second"), "one")
    took_ms = (time.monotonic() - began) * 1000
    print(f"a promotion was seen by both servers after {took_ms:.0f} ms")  # noqa: T201 - with pytest -rP

    # Whoever only shows the log is killed: the build does not notice, its reader goes on at the other.
    await git_server.commit(
        "two-servers", {"index.html": "three", "build.sh": f"echo begun; {slow} || echo built"}, "Third"
    )
    three = await user.deploy(project["projectID"])
    building = await pair.builder_of(three)
    console = Console(three)
    async with console.watching(pair.client(pair.other(building))) as broken_off:
        await console.shows("begun")
        await pair.kill(pair.other(building))
        assert await broken_off is None
    async with console.watching(pair.client(building)) as reconnected:
        await open_gate(slow)
        assert await reconnected == "ready"
    ended = await pair.client(building).deployment(three)
    assert ended["attempt"] == 1
    assert console.lines == await stored_log(pair.client(building), three)
    assert "built" in [text for _, text in console.lines]
    await shown_by((building,), "three")
