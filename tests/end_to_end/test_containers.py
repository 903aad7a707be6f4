"""BUILDER=docker with real containers of the real image. ``make test-containers``."""

import re
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiodocker
import aiohttp
import pytest

from scalemesh.builds.containers import DEPLOYMENT, ContainerPlace
from scalemesh.builds.docker import CannotUseDocker, open_docker_launcher
from scalemesh.builds.launcher import LaunchFailed
from scalemesh.model import BuildID, DeploymentID
from tests.parts.git import GitServer
from tests.parts.server import Client, StartServer, eventually
from tests.parts.server_process import server_process

IMAGE = "scalemesh-builder"
PACKAGE = '{"name": "site", "scripts": {"build": "sh build.sh"}}'
TICKS = 15
SLOW = f"for n in $(seq {TICKS}); do echo tick $n; sleep 1; done; mkdir dist; echo slow > dist/index.html"

# What a hostile repository tries; the page is what came of it.
SPY = """
try() { echo "$1: $(eval "$2" 2>&1)"; }
{
    try uid 'id -u'
    try capabilities 'grep -E "^Cap(Prm|Eff|Bnd)" /proc/self/status | tr -d "\\n"'
    try environment 'cat /proc/1/environ'
    try builder 'ls /opt/builder'
    try artifacts 'ls /srv/scalemesh'
    try root 'touch /usr/x'
    try kill 'kill -9 1'
    try variables 'env | grep -cE "REDIS|ARTIFACTS|AWS_|GITHUB_REPO"'
} > said
setsid sleep 999 &
mkdir dist
cp said dist/index.html
"""

# Shared memory is in no process's resident set, so the builder's own watch does not see it.
GREEDY = (
    "python3 -c 'import os; f = os.memfd_create(\"x\"); [os.write(f, bytes(1 << 20)) for _ in range(3000)]'"
)

pytestmark = pytest.mark.containers


@pytest.fixture
async def docker(docker_host: str) -> AsyncIterator[aiodocker.Docker]:
    async with aiodocker.Docker(url=docker_host) as client:
        yield client


@pytest.fixture
def settings(docker_host: str) -> dict[str, Any]:
    # The git server is on this machine's loopback.
    return {"BUILDER": "docker", "DOCKER_HOST": docker_host, "DOCKER_NETWORK": "host"}


async def containers_of(docker: aiodocker.Docker, deployment_id: str) -> int:
    label = f'{{"label": ["{DEPLOYMENT}={deployment_id}"]}}'
    return len(await docker.containers.list(all=True, filters=label))


async def shell_project(user: Client, git_server: GitServer, name: str, script: str) -> dict[str, Any]:
    return await user.project(await git_server.make_repo(name, {"package.json": PACKAGE, "build.sh": script}))


async def prints(user: Client, deployment_id: str, text: str) -> None:
    await eventually(lambda: user.log(deployment_id), lambda log: text in log, within_s=60)


def ticks(log: str) -> list[str]:
    return re.findall(r"^tick (\d+)$", log, re.MULTILINE)


async def test_a_hostile_build_gets_its_site_and_nothing_else(
    new_server: StartServer, settings: dict[str, Any], git_server: GitServer, docker: aiodocker.Docker
) -> None:
    async with new_server(**settings) as server, server.visitor() as user:
        await user.sign_up()
        project = await shell_project(user, git_server, "spy", SPY)
        deployment_id = await user.deploy(project["projectID"])
        ended = await user.ended(deployment_id, within_s=120)
        assert ended["status"] == "ready", await user.log(deployment_id)
        said = dict(line.split(": ", 1) for line in (await user.site(project["url"])).text.splitlines())
        assert "no sandbox" not in await user.log(deployment_id)
    none = "0000000000000000"
    assert said["uid"] == "61184"
    assert said["capabilities"] == f"CapPrm:\t{none}CapEff:\t{none}CapBnd:\t{none}"
    for refused in ("environment", "builder", "artifacts"):
        assert "Permission denied" in said[refused]
    assert "Read-only file system" in said["root"]
    assert "not permitted" in said["kill"]
    assert said["variables"] == "0"
    assert await containers_of(docker, deployment_id) == 0


async def test_a_server_that_is_killed_finds_its_build_again(
    tmp_path: Path, settings: dict[str, Any], git_server: GitServer, docker: aiodocker.Docker
) -> None:
    data_dir = tmp_path / "data"
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with server_process(data_dir, session, **settings) as server:
            await server.client.sign_up()
            project = await shell_project(server.client, git_server, "killed", SLOW)
            deployment_id = await server.client.deploy(project["projectID"])
            await prints(server.client, deployment_id, "tick 2")
            await server.end(signal.SIGKILL)
            assert await containers_of(docker, deployment_id) == 1
        async with server_process(data_dir, session, **settings) as server:
            ended = await server.client.ended(deployment_id, within_s=90)
            log = await server.client.log(deployment_id)
            assert (ended["status"], ended["attempt"]) == ("ready", 1), log
            assert ticks(log) == [str(n) for n in range(1, TICKS + 1)]
            site = project["url"].split(":")[1].removeprefix("//")
            assert (await server.client.site(f"http://{site}:{server.client.port}")).text == "slow\n"
    assert await containers_of(docker, deployment_id) == 0


async def test_a_server_that_ends_leaves_its_build_to_the_next(
    new_server: StartServer, settings: dict[str, Any], git_server: GitServer
) -> None:
    async with new_server(**settings) as server, server.visitor() as user:
        email = await user.sign_up()
        project = await shell_project(user, git_server, "left", SLOW)
        deployment_id = await user.deploy(project["projectID"])
        await prints(user, deployment_id, "tick 2")
    async with new_server(**settings) as server, server.visitor() as user:
        answer = await user.post("/user/login", {"email": email, "password": "correct horse battery"})
        assert answer.status == 200
        ended = await user.ended(deployment_id, within_s=90)
        assert (ended["status"], ended["attempt"]) == ("ready", 1)
        assert ticks(await user.log(deployment_id)) == [str(n) for n in range(1, TICKS + 1)]


async def test_a_canceled_build_leaves_nothing(
    new_server: StartServer, settings: dict[str, Any], git_server: GitServer, docker: aiodocker.Docker
) -> None:
    async with new_server(**settings) as server, server.visitor() as user:
        await user.sign_up()
        project = await shell_project(user, git_server, "canceled", SLOW)
        deployment_id = await user.deploy(project["projectID"])
        await prints(user, deployment_id, "tick 2")
        assert (await user.post(f"/api/deployments/{deployment_id}/cancel")).status == 202
        ended = await user.ended(deployment_id, within_s=60)
        assert ended["status"] == "canceled"
        assert (await user.log(deployment_id)).splitlines()[-1].startswith("The build was canceled.")
    assert await containers_of(docker, deployment_id) == 0


async def test_the_memory_limit_is_the_users_failure_and_is_not_tried_again(
    new_server: StartServer, settings: dict[str, Any], git_server: GitServer, docker: aiodocker.Docker
) -> None:
    async with new_server(**settings, BUILD_MEMORY_MIB=256) as server, server.visitor() as user:
        await user.sign_up()
        project = await shell_project(user, git_server, "greedy", GREEDY)
        deployment_id = await user.deploy(project["projectID"])
        ended = await user.ended(deployment_id, within_s=120)
        assert (ended["status"], ended["attempt"]) == ("failed", 1)
        assert ended["error"]["code"] == "out_of_memory"
    assert await containers_of(docker, deployment_id) == 0


async def test_a_launch_is_made_once_and_its_container_is_found_and_removed(
    docker_host: str, docker: aiodocker.Docker, tmp_path: Path, redis_url: str, git_server: GitServer
) -> None:
    url = await git_server.make_repo("once", {"package.json": PACKAGE, "build.sh": SLOW})
    deadline = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=90)
    environment = {
        "GITHUB_REPO_URL": url,
        "ALLOW_LOCAL_REPOS": "1",
        "projectID": "proj1",
        "DEPLOYMENT_ID": "once",
        "ATTEMPT": "1",
        "ARTIFACTS": str(tmp_path),
        "REDIS_URL": redis_url,
        "BUILD_DEADLINE": deadline.isoformat(),
        "BUILD_MEMORY_BYTES": str(1024**3),
    }
    build = BuildID(DeploymentID("once"), 1)
    place = ContainerPlace(image=IMAGE, network="host", cpus=1, installation=f"test-{tmp_path.name}")
    async with open_docker_launcher(docker_host, place) as launcher:
        try:
            first = await launcher.launch(build.deployment_id, environment)
            again = await launcher.launch(build.deployment_id, environment)
            assert await containers_of(docker, "once") == 1
            assert list(await launcher.list_builds()) == [build]
            resumed = await launcher.resume(build)
            assert resumed is not None
            assert await launcher.resume(BuildID(build.deployment_id, 2)) is None
            for running in (first, again):
                await running.leave()
            await resumed.stop(canceled=True)
        finally:
            await launcher.remove(build)
        assert await containers_of(docker, "once") == 0
        assert list(await launcher.list_builds()) == []


async def test_a_missing_image_is_named_with_the_command_that_builds_it(docker_host: str) -> None:
    place = ContainerPlace(image="no-such-image", network="", cpus=1, installation="x")
    with pytest.raises(CannotUseDocker, match="docker build -t no-such-image builder/"):
        async with open_docker_launcher(docker_host, place):
            pass


async def test_a_request_that_the_engine_refuses_is_a_failed_launch(
    docker_host: str, tmp_path: Path, redis_url: str
) -> None:
    place = ContainerPlace(image=IMAGE, network="no-such-network", cpus=1, installation="x")
    environment = {
        "projectID": "proj1",
        "DEPLOYMENT_ID": "refused",
        "ATTEMPT": "1",
        "ARTIFACTS": str(tmp_path),
        "REDIS_URL": redis_url,
        "BUILD_DEADLINE": "2030-01-31T12:00:00Z",
        "BUILD_MEMORY_BYTES": str(1024**3),
    }
    async with open_docker_launcher(docker_host, place) as launcher:
        with pytest.raises(LaunchFailed, match="no-such-network"):
            await launcher.launch(DeploymentID("refused"), environment)
        assert await launcher.resume(BuildID(DeploymentID("refused"), 1)) is None
