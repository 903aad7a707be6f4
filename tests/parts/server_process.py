"""The server as people start it: a process of its own, everything embedded, on a data directory."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from tests.parts.leftovers import is_alive, name_of
from tests.parts.ports import unused_port
from tests.parts.server import Client, eventually

_ROOT = Path(__file__).resolve().parents[2]
_REPLACING_WHAT_IS_EMBEDDED = (
    "DATABASE_URL",
    "DBURI",
    "REDIS_URL",
    "S3_BUCKET",
    "PUBLIC_URL",
    "SITES_DOMAIN",
)


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running one, and somebody who visits it."""

    client: Client
    process: asyncio.subprocess.Process

    async def end(self, number: int) -> None:
        """Sends the signal; returns once the server and everything below it are gone."""
        started = psutil.Process(self.process.pid).children(recursive=True)
        assert {"postgres", "valkey-server"} <= {name_of(process) for process in started}
        self.process.send_signal(number)
        await self.process.wait()
        await eventually(
            lambda: [process for process in started if is_alive(process)],
            lambda alive: not alive,
            within_s=60,
        )


@asynccontextmanager
async def server_process(
    data_dir: Path, session: aiohttp.ClientSession, **settings: str
) -> AsyncIterator[ServerProcess]:
    """Ready inside the block, gone after it. What it says on stderr is in ``server.log`` beside the data."""
    port = unused_port()
    process = await spawn_server(data_dir, port, **settings)
    client = Client(session, port)

    async def up() -> bool:
        assert process.returncode is None, "the server ended; server.log has its reason"
        return await is_up(client)

    try:
        await eventually(up, within_s=60)
        yield ServerProcess(client, process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def spawn_server(data_dir: Path, port: int, **settings: str) -> asyncio.subprocess.Process:
    """The process, not ready yet. The caller ends it."""
    inherited = {name: value for name, value in os.environ.items() if name not in _REPLACING_WHAT_IS_EMBEDDED}
    with (data_dir.parent / "server.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            str(_ROOT / "scalemesh.py"),
            env={
                **inherited,
                "HOST": "127.0.0.1",
                "PORT": str(port),
                "DATA_DIR": str(data_dir),
                "ALLOW_LOCAL_REPOS": "1",
                **settings,
            },
            stdout=asyncio.subprocess.DEVNULL,
            stderr=log,
        )


async def is_up(client: Client) -> bool:
    try:
        return (await client.get("/health")).status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
