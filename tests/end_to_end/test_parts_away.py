"""Postgres, Valkey and the S3 server are killed and come back while a site is being visited."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.artifacts.s3_server import free_ports, run_s3_server
from tests.parts.git import GitServer
from tests.parts.leftovers import is_alive
from tests.parts.server import Client, eventually, start_server

VISITORS = 4
BACK_S = 60.0
"""Three on a quiet machine, most of which the S3 server takes to start."""


async def test_a_site_in_use_never_fails_and_the_rest_recovers_by_itself(
    git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"away-{secrets.token_hex(6)}"
    url = await git_server.make_repo(name, {"index.html": "first", "cold.html": "cold"})
    (tmp_path / "s3").mkdir()
    ports = free_ports()
    async with AsyncExitStack() as stack, AsyncExitStack() as s3_stack:
        s3 = await s3_stack.enter_async_context(run_s3_server(tmp_path / "s3", ports))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key_id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_access_key)
        settings = {"S3_BUCKET": s3.bucket, "S3_ENDPOINT_URL": s3.endpoint_url}
        server = await stack.enter_async_context(start_server(tmp_path / "data", **settings))
        user = await stack.enter_async_context(server.visitor())
        await user.sign_up()
        project = await user.project(url)
        deployment_id = await user.deploy(project["projectID"])
        assert (await user.ended(deployment_id))["status"] == "ready", await user.log(deployment_id)
        assert (await user.site(project["url"])).text == "first"

        async with _visits(user, project["url"]) as answers:
            await s3_stack.aclose()
            away = await user.site(project["url"], "/cold.html")
            assert (away.status, away.headers["Retry-After"]) == (503, "2")
            killed = _kill_parts(tmp_path / "data")
            assert {"postgres", "valkey-server"} <= killed
            assert (await user.get("/health")).status == 503

            again = await s3_stack.enter_async_context(run_s3_server(tmp_path / "s3", ports))
            assert again == s3
            await eventually(lambda: _status(user, "/health"), lambda seen: seen == 200, within_s=BACK_S)
            assert (await user.site(project["url"], "/cold.html")).text == "cold"
            await git_server.commit(name, {"index.html": "second"}, "Second")
            deployment_id = await user.deploy(project["projectID"])
            assert (await user.ended(deployment_id))["status"] == "ready", await user.log(deployment_id)
            await eventually(lambda: answers[200, "second"])
    assert set(answers) == {(200, "first"), (200, "second")}


@asynccontextmanager
async def _visits(user: Client, url: str) -> AsyncIterator[Counter[tuple[int, str]]]:
    """What visitors get meanwhile, each as soon as the last one was answered."""
    answers: Counter[tuple[int, str]] = Counter()

    async def visit() -> None:
        while True:
            answer = await user.site(url)
            answers[answer.status, answer.text] += 1
            await asyncio.sleep(0.002)

    async with asyncio.TaskGroup() as visitors:
        tasks = [visitors.create_task(visit()) for _ in range(VISITORS)]
        yield answers
        for task in tasks:
            task.cancel()


async def _status(user: Client, path: str) -> int:
    try:
        return (await user.get(path)).status
    except aiohttp.ClientError:
        return 0


def _kill_parts(data_dir: Path) -> set[str]:
    """Kills the embedded servers that run in ``data_dir``; their names."""
    killed = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a session of PostgreSQL ends at any moment
            if is_alive(process) and process.cwd().startswith(str(data_dir)):
                killed.add(process.name())
                process.kill()
    return killed
