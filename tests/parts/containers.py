"""A real Docker API for the tests marked ``containers``, and the image that they start."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.parts.server import eventually


@pytest.fixture(scope="session")
async def docker_host() -> AsyncIterator[str]:
    """The URL of DOCKER_HOST, of Docker's own socket, or of a Podman that is started for these tests.

    Only `make test-containers` asks for it: making the image takes minutes the first time, so `make test`
    skips these tests, visibly. Here a missing engine is a failure.
    """
    if os.environ.get("TEST_CONTAINERS") != "1":
        pytest.skip("containers are tested by `make test-containers`, which makes their image first")
    if url := os.environ.get("DOCKER_HOST"):
        yield url
        return
    if Path("/var/run/docker.sock").is_socket():
        yield "unix:///var/run/docker.sock"
        return
    podman = shutil.which("podman")
    if podman is None:
        pytest.fail("There is neither DOCKER_HOST, nor Docker's socket, nor podman on PATH.")
    with TemporaryDirectory(prefix="scalemesh-podman-") as directory:
        socket = Path(directory, "podman.sock")
        # Its conmon leaves a file in the directory that it is started in.
        process = await asyncio.create_subprocess_exec(
            podman, "system", "service", "--time", "0", f"unix://{socket}", cwd=directory
        )
        try:
            await eventually(socket.is_socket, within_s=60)
            yield f"unix://{socket}"
        finally:
            process.terminate()
            await process.wait()
