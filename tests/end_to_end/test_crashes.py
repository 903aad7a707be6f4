"""Whatever is killed in the middle of a build, the build is made again or fails with a reason."""

import json
import os
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest
from redis.asyncio import Redis

from scalemesh import keys
from scalemesh.db.pool import open_pool
from scalemesh.embedded import EmbeddedServers
from scalemesh.model import DeploymentID
from tests.parts.git import GitServer
from tests.parts.leftovers import name_of
from tests.parts.processes import processes_with
from tests.parts.server import Client, StartServer, eventually
from tests.parts.server_process import server_process

QUICK = "echo second attempt; mkdir dist; echo again > dist/index.html"
# The lease of a builder whose server is gone, the next sweep, and a build, on a busy machine.
AGAIN_S = 60.0


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
async def test_a_build_whose_server_ends_is_made_again_after_the_restart(
    number: signal.Signals, git_server: GitServer, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    name, slow = _unique("server"), _unique_sleep()
    data_dir = tmp_path / "data"
    async with server_process(data_dir, session) as server:
        await server.client.sign_up()
        project, deployment_id = await _start(server.client, git_server, name, slow)
        await eventually(lambda: processes_with(slow))
        await server.end(number)
        assert processes_with(slow) == []
    await git_server.commit(name, {"build.sh": QUICK}, "Quick")
    async with server_process(data_dir, session) as server:
        ended = await server.client.ended(deployment_id, within_s=AGAIN_S)
        log = await _whole_log(server.client, deployment_id)

        assert (ended["status"], ended["attempt"]) == ("ready", 2), log
        assert [text for text in log if text.endswith(" attempt")] == ["first attempt", "second attempt"]
        url = f"http://{project['slug']}.localhost:{server.client.port}"
        assert (await server.client.site(url)).text == "again\n"


async def test_a_build_whose_builder_is_killed_is_made_again(user: Client, git_server: GitServer) -> None:
    name, slow = _unique("builder"), _unique_sleep()
    _, deployment_id = await _start(user, git_server, name, slow)
    await git_server.commit(name, {"build.sh": QUICK}, "Quick")

    _kill_builder(deployment_id)

    ended = await user.ended(deployment_id)
    log = await _whole_log(user, deployment_id)
    assert (ended["status"], ended["attempt"]) == ("ready", 2), log
    assert [text for text in log if text.endswith(" attempt")] == ["first attempt", "second attempt"]
    await eventually(lambda: processes_with(slow), lambda found: not found)


async def test_a_build_whose_builder_is_killed_three_times_fails_with_a_reason(
    user: Client, git_server: GitServer, servers: EmbeddedServers
) -> None:
    slow = _unique_sleep()
    _, deployment_id = await _start(user, git_server, _unique("thrice"), slow)
    for attempt in (1, 2, 3):
        await _printed(user, deployment_id, attempt)
        _kill_builder(deployment_id)

    ended = await user.ended(deployment_id)
    log = await _whole_log(user, deployment_id)
    assert (ended["status"], ended["attempt"], ended["error"]["code"]) == ("failed", 3, "builder_lost")
    assert log.count("first attempt") == 3
    assert log[-1] == f"{ended['error']['message']} {ended['error']['hint']}"
    await eventually(lambda: processes_with(slow), lambda found: not found)
    assert servers.redis_url is not None
    async with Redis.from_url(servers.redis_url) as redis:
        assert await redis.delete(keys.log_stream(DeploymentID(deployment_id))) == 1
    assert await _whole_log(user, deployment_id) == log


async def test_a_server_that_stops_in_the_last_attempt_ends_it_with_a_reason(
    new_server: StartServer, database: str, git_server: GitServer
) -> None:
    async with open_pool(database) as pool:
        await pool.execute("ALTER TABLE deployments ALTER COLUMN attempt SET DEFAULT 2")
        async with new_server() as server, server.visitor() as user:
            await user.sign_up()
            await _start(user, git_server, _unique("last"), _unique_sleep())
        row = await pool.fetchrow("SELECT status, attempt, error_code FROM deployments")
    assert row is not None
    assert tuple(row) == ("failed", 3, "builder_lost")


async def test_a_worker_that_lost_its_lease_stops_its_builder_and_changes_nothing(
    new_server: StartServer, database: str, git_server: GitServer
) -> None:
    slow = _unique_sleep()
    async with new_server() as server, server.visitor() as user, open_pool(database) as pool:
        await user.sign_up()
        await _start(user, git_server, _unique("lost"), slow)
        await pool.execute("UPDATE deployments SET worker = 'another', lease_until = now() + interval '1 h'")
        before = await pool.fetchrow("SELECT * FROM deployments")
        await eventually(lambda: processes_with(slow), lambda found: not found)
    assert before is not None
    async with open_pool(database) as pool:
        assert await pool.fetchrow("SELECT * FROM deployments") == before


async def _start(user: Client, git: GitServer, name: str, slow: str) -> tuple[dict[str, str], str]:
    """A build that has printed its first line and will not end."""
    url = await git.make_repo(name, {"build.sh": f"echo first attempt; {slow}"})
    project = await user.project(url, buildCommand="sh build.sh", outputDirectory="dist")
    deployment_id = await user.deploy(project["projectID"])
    await _printed(user, deployment_id, 1)
    return project, deployment_id


async def _printed(user: Client, deployment_id: str, times: int) -> None:
    await eventually(
        lambda: user.log(deployment_id), lambda log: log.count("first attempt\n") == times, within_s=60
    )


async def _whole_log(user: Client, deployment_id: str) -> list[str]:
    """Its texts; fails where the log is not each number once, in order, without a gap."""
    answer = await user.get(f"/api/deployments/{deployment_id}/logs")
    events = [json.loads(row) for row in answer.text.splitlines()]
    assert {event["type"] for event in events[:-1]} == {"line"}
    assert [event["seq"] for event in events[:-1]] == [*range(1, len(events))]
    return [event["text"] for event in events[:-1]]


def _kill_builder(deployment_id: str) -> None:
    builders = [process for process in psutil.Process().children() if name_of(process) == deployment_id]
    assert len(builders) == 1
    os.kill(builders[0].pid, signal.SIGKILL)


def _unique(name: str) -> str:
    return f"{name}-{secrets.token_hex(6)}"


def _unique_sleep() -> str:
    return f"sleep {secrets.randbelow(10**9) + 10**9}"
