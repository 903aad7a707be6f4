"""As hosting platforms run it: servers of others behind addresses in the environment."""

import asyncio
import logging
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from redis.asyncio import Redis

from scalemesh import keys
from scalemesh.model import DeploymentID
from scalemesh.reachable import CannotReach, migrate_database
from tests.parts.forward import forwarding, serving_with, write_certificate
from tests.parts.git import GitServer
from tests.parts.ports import unused_port
from tests.parts.server import Client, StartServer, eventually
from tests.parts.server_process import is_up

ROOT = Path(__file__).resolve().parents[2]
KEY = "a key for tests only"


@pytest.fixture
async def tls_url(redis_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """Valkey behind TLS with a certificate that signs itself."""
    address = urlsplit(redis_url)
    async with forwarding(Path(address.path), serving_with(write_certificate(tmp_path))) as port:
        yield f"rediss://{address.netloc}127.0.0.1:{port}/0"


async def test_a_self_signed_redis_is_used_on_demand_and_loudly(
    new_server: StartServer,
    git_server: GitServer,
    redis_url: str,
    tls_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = await git_server.make_repo("over-tls", {"index.html": "hi"})
    given = {"REDIS_URL": tls_url, "REDIS_TLS_VERIFY": "0"}
    async with new_server(**given) as server, server.visitor() as user:
        assert "REDIS_TLS_VERIFY=0: the certificate" in caplog.text
        await user.sign_up()
        deployment_id = await user.deploy((await user.project(url))["projectID"])
        assert (await user.ended(deployment_id))["status"] == "ready"
        assert (await user.get("/health")).status == 200
    # The builder wrote its lines over the same TLS.
    async with Redis.from_url(redis_url) as redis:
        assert await redis.xlen(keys.log_stream(DeploymentID(deployment_id))) > 0


async def test_a_certificate_that_nobody_signed_is_refused_and_the_fix_is_named(
    new_server: StartServer, tls_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with new_server(REDIS_URL=tls_url) as server, server.visitor() as user:
        assert "set REDIS_TLS_VERIFY=0 where the certificate is self-signed" in caplog.text
        answer = await user.get("/health")
        assert (answer.status, answer.json["checks"]["redis"]) == (503, "unavailable")
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


async def test_whatever_cannot_be_reached_is_told_in_one_message_without_a_password(tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{unused_port()}"
    status, said = await _run(
        DATABASE_URL=f"postgres://ada:hunter2@{nowhere}/mesh",
        REDIS_URL=f"redis://:hunter2@{nowhere}/0",
        S3_BUCKET="sites",
        S3_ENDPOINT_URL=f"http://{nowhere}",
        AWS_ACCESS_KEY_ID="AKIA0",
        AWS_SECRET_ACCESS_KEY="hunter2",
        DATA_DIR=str(tmp_path),
        SESSION_KEY=KEY,
        PORT=str(unused_port()),
    )
    assert status == 1
    first, *lines = said.splitlines()
    assert first == "The server can't start:"
    assert [line.split(":")[0] for line in lines] == ["DATABASE_URL", "REDIS_URL", "S3_BUCKET"]
    assert f"postgres://ada@{nowhere}/mesh" in lines[0]
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        ({"path": "/no-such-database"}, "Create the database, or correct its name."),
        ({"query": "host=/no/such/directory"}, "Start it, or correct host, port and sslmode."),
        ({"netloc": "nobody@", "path": "/scalemesh"}, "Correct the user and the password."),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
async def test_a_database_that_refuses_is_told_with_the_fix(
    database: str, change: dict[str, str], fix: str
) -> None:
    with pytest.raises(CannotReach, match=re.escape(fix)):
        await migrate_database(urlsplit(database)._replace(**change).geturl())


async def test_a_procfile_runner_migrates_and_serves(
    postgres_dsn: str, database: str, redis_url: str, tmp_path: Path
) -> None:
    port = unused_port()
    environment = {
        "DATABASE_URL": database,
        "REDIS_URL": redis_url,
        "SESSION_KEY": KEY,
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "DATA_DIR": str(tmp_path),
    }
    status, said = await _run("-m", "honcho.command", "start", "--no-colour", "release", **environment)
    assert (status, "the database is up to date" in said) == (0, True), said
    process = await _start("-m", "honcho.command", "start", "web", **environment)
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            client = Client(session, port)
            await eventually(lambda: is_up(client), within_s=60)
            await client.sign_up()
            assert (await client.get("/user/me")).status == 200
    finally:
        process.terminate()
        await process.communicate()


async def _start(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """Python with ``arguments`` in the project's root, its two outputs as one."""
    programs = Path(sys.executable).parent
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *(arguments or ("scalemesh.py",)),
        cwd=ROOT,
        env={"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(Path.home()), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def _run(*arguments: str, **environment: str) -> tuple[int | None, str]:
    process = await _start(*arguments, **environment)
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    return process.returncode, output.decode()
