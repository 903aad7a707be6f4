"""BUILDER=ecs from the set-up to the site: ECS over HTTP, and a builder that has what the task was given."""

import asyncio
import json
import os
import re
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aioboto3
import pytest
from redis.asyncio import Redis

from scalemesh.ecs_setup.command import run_setup
from tests.artifacts.s3_server import S3Server
from tests.ecs_setup.test_setup import options, push_image
from tests.logs.test_builder_user import builder_url
from tests.parts.git import GitServer
from tests.parts.ports import unused_port
from tests.parts.server import Client, StartServer, eventually

__all__ = ["builder_url"]

ROOT = Path(__file__).resolve().parents[2]
PAGE = "<title>From a task</title>" + "<p>again and again</p>" * 100


@pytest.fixture
async def redis_port(redis_url: str) -> AsyncIterator[int]:
    """The test's Valkey on the loopback as well, for as long as the test."""
    port = unused_port()
    async with Redis.from_url(redis_url) as redis:
        await redis.config_set("port", port)
        yield port
        await redis.config_set("port", 0)


@pytest.fixture
async def settings(
    aws: str,
    s3_server: S3Server,
    redis_url: str,
    redis_port: int,
    builder_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> dict[str, Any]:
    """What ``ecs-setup`` printed, with S3 and Redis of this machine."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_access_key)
    await run_setup(options("--yes"))
    await push_image()
    await run_setup(options("--yes"))
    printed = re.findall(r"^export (\w+)=(\S+)", capsys.readouterr().out, re.MULTILINE)
    async with aioboto3.Session().client("ec2") as ec2:
        [group, *_] = (await ec2.describe_security_groups())["SecurityGroups"]
    login = urlsplit(builder_url).netloc
    return {
        **dict(printed),
        "ECS_SECURITY_GROUPS": group["GroupId"],
        "S3_BUCKET": s3_server.bucket,
        "S3_ENDPOINT_URL": s3_server.endpoint_url,
        "REDIS_URL": f"redis://{urlsplit(redis_url).netloc}127.0.0.1:{redis_port}",
        "REDIS_BUILDER_URL": f"redis://{login}127.0.0.1:{redis_port}",
    }


async def started_task(ecs: Any, before: set[str]) -> dict[str, Any]:
    """The task that is new."""

    async def new() -> list[str]:
        return [arn for arn in (await ecs.list_tasks(cluster="mesh"))["taskArns"] if arn not in before]

    [arn] = await eventually(new)
    before.add(arn)
    answer = await ecs.describe_tasks(cluster="mesh", tasks=[arn], include=["TAGS"])
    return dict(answer["tasks"][0])


async def run_builder(task: dict[str, Any]) -> int:
    """The builder with the task's overrides for its environment, and only what an image has beside them."""
    [override] = task["overrides"]["containerOverrides"]
    variables = {variable["name"]: variable["value"] for variable in override["environment"]}
    with tempfile.TemporaryDirectory() as home:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "builder",
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": home, **variables},
        )
        return await process.wait()


async def built(user: Client, ecs: Any, project: dict[str, Any], before: set[str]) -> dict[str, Any]:
    deployment_id = await user.deploy(project["projectID"])
    task = await started_task(ecs, before)
    assert await run_builder(task) == 0
    # Moto has no containers; a task that is stopped has ended, and the log object says how.
    await ecs.stop_task(cluster="mesh", task=task["taskArn"], reason="The builder has ended.")
    ended = await user.ended(deployment_id)
    assert ended["status"] == "ready", await user.log(deployment_id)
    return task


async def test_a_site_is_built_by_a_task_without_keys(
    new_server: StartServer, settings: dict[str, Any], git_server: GitServer
) -> None:
    url = await git_server.make_repo(f"task-{secrets.token_hex(3)}", {"index.html": PAGE})
    before: set[str] = set()
    async with (
        new_server(**settings) as server,
        server.visitor() as user,
        aioboto3.Session().client("ecs") as ecs,
    ):
        await user.sign_up()
        project = await user.project(url)
        task = await built(user, ecs, project, before)
        assert (await user.site(project["url"])).text == PAGE

        given = json.dumps(task["overrides"])
        assert "AWS_" not in given
        assert os.environ["AWS_SECRET_ACCESS_KEY"] not in given
        assert settings["REDIS_BUILDER_URL"] in given
        [override] = task["overrides"]["containerOverrides"]
        assert {variable["name"] for variable in override["environment"]} == {
            "ALLOW_LOCAL_REPOS",
            "ARTIFACTS",
            "ATTEMPT",
            "BUILD_DEADLINE",
            "BUILD_MEMORY_BYTES",
            "BUILD_SANDBOX",
            "DEPLOYMENT_ID",
            "GITHUB_REPO_URL",
            "LOG_FIRST_SEQ",
            "REDIS_URL",
            "S3_ENDPOINT_URL",
            "SITE_URL",
            "UPLOAD_GRANT",
            "projectID",
        }

        await built(user, ecs, project, before)
        [newest, *_] = (await user.get(f"/api/projects/{project['projectID']}/deployments")).json["items"]
        assert "0 new blobs" in await user.log(newest["deploymentID"])
