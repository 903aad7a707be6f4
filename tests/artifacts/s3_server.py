"""A real S3 server: SeaweedFS, all its parts in one process, on free ports of the loopback."""

import asyncio
import json
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiobotocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.parts.ports import unused_port

_START_TIMEOUT_S = 60  # three seconds on a quiet machine
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class S3Server:
    endpoint_url: str
    bucket: str
    access_key_id: str
    secret_access_key: str


@pytest.fixture(scope="session")
async def s3_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[S3Server]:
    """One for a worker: each test has a prefix of its own in its bucket."""
    async with run_s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@asynccontextmanager
async def run_s3_server(directory: Path, ports: Sequence[int] = ()) -> AsyncIterator[S3Server]:
    """An S3 server with one bucket, its data in ``directory``, killed when the block ends.

    On the same ``free_ports`` another one on the same directory takes its place.
    """
    master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc = ports or free_ports()
    server = S3Server(f"http://127.0.0.1:{s3}", "artifacts", "test-key", "test-secret")
    config = directory / "s3.json"
    config.write_text(_identities(server))
    log = directory / "weed.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("weed")),
            "-logtostderr",
            "server",
            f"-dir={directory}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={master}",
            f"-master.port.grpc={master_grpc}",
            "-master.telemetry=false",
            "-master.electionTimeout=1s",  # an election among one; the default waits ten
            "-master.volumeSizeLimitMB=64",
            "-volume.max=20",
            f"-volume.port={volume}",
            f"-volume.port.grpc={volume_grpc}",
            "-volume.minFreeSpace=0",
            "-volume.preStopSeconds=0",
            "-filer",
            f"-filer.port={filer}",
            f"-filer.port.grpc={filer_grpc}",
            f"-filer.localSocket={directory}/filer.sock",
            "-s3",
            f"-s3.config={config}",
            "-s3.iam=false",
            f"-s3.port={s3}",
            f"-s3.port.grpc={s3_grpc}",
            f"-s3.localSocket={directory}/s3.sock",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            stdout=output,
            stderr=output,
        )
    try:
        await _wait_until_it_stores(server, process, log)
        yield server
    finally:
        await _kill(process)
        # weed names these itself, in /tmp, and leaves them.
        for socket_path in Path("/tmp").glob("seaweedfs-*.sock"):
            if socket_path.stem.rpartition("-")[2] in map(
                str, (master_grpc, volume_grpc, filer_grpc, s3_grpc)
            ):
                socket_path.unlink(missing_ok=True)


async def _wait_until_it_stores(server: S3Server, process: Process, log: Path) -> None:
    """Wait for a first object to be stored: the gateway listens before there is a master or a volume."""
    client_context = aiobotocore.session.get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=server.endpoint_url,
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=server.secret_access_key,
        config=Config(retries={"total_max_attempts": 1}, request_checksum_calculation="when_required"),
    )
    async with asyncio.timeout(_START_TIMEOUT_S), client_context as client:
        while True:
            if process.returncode is not None:
                raise RuntimeError(f"weed ended with status {process.returncode}:\n{log.read_text()[-2000:]}")
            with suppress(BotoCoreError, ClientError):
                with suppress(
                    client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou
                ):
                    await client.create_bucket(Bucket=server.bucket)
                await client.put_object(Bucket=server.bucket, Key="first", Body=b"first")
                await client.delete_object(Bucket=server.bucket, Key="first")
                return
            await asyncio.sleep(_POLL_S)


async def _kill(process: Process) -> None:
    # Asked kindly, weed takes over ten seconds to put away data that nobody will look at again.
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def free_ports(count: int = 8) -> list[int]:
    """Of the loopback, as many as the server needs."""
    return [unused_port() for _ in range(count)]


def _identities(server: S3Server) -> str:
    credentials = {"accessKey": server.access_key_id, "secretKey": server.secret_access_key}
    return json.dumps({"identities": [{"name": "test", "credentials": [credentials], "actions": ["Admin"]}]})
