"""How soon every server process shows what was promoted, while visitors look all the time."""

import asyncio
import re
import tempfile
import time
from asyncio import StreamReader, StreamWriter
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

from bench.figures import Figure
from bench.first_deploy import server
from bench.load import get, header
from tests.parts.git import GitServer
from tests.parts.server import Client, eventually

_PROCESSES = 2
_VISITORS = 16
_ROUNDS = 30
_PAUSE_S = 0.002

_Connection = tuple[StreamReader, StreamWriter]


async def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "repositories").mkdir()
        with GitServer.serve(root / "repositories") as git:
            url = await git.make_repo("live", {"index.html": "0"})
            async with (
                server(root / "data", WEB_CONCURRENCY=str(_PROCESSES)) as (_, client, _),
                AsyncExitStack() as stack,
            ):
                await client.sign_up()
                project = await client.project(url)
                deployments = [await _deploy(client, project["projectID"])]
                await git.commit("live", {"index.html": "1"}, "One")
                deployments.append(await _deploy(client, project["projectID"]))
                connections = await _connect_to_all(stack, client.port)
                host = project["url"].removeprefix("http://")
                taken: list[float] = []
                for number in range(_ROUNDS):
                    shown = number % 2
                    taken += await _promote(
                        client, deployments[shown], connections, host, str(shown).encode()
                    )
        return [
            Figure(
                f"from promoted to seen, {_PROCESSES} processes, median of {_VISITORS * _ROUNDS:,} visits",
                median(taken) * 1000,
                None,
                "ms",
            ),
            Figure("the same, the last of them", max(taken) * 1000, 1000, "ms"),
        ]


async def _deploy(client: Client, project_id: str) -> str:
    deployment_id = await client.deploy(project_id)
    await client.ended(deployment_id)
    return deployment_id


async def _connect_to_all(stack: AsyncExitStack, port: int) -> list[_Connection]:
    """So many that each process has some."""

    async def connect() -> list[_Connection]:
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(_VISITORS)]
        for _, writer in connections:
            stack.callback(writer.close)
        return connections

    async def reaches_all(connections: list[_Connection]) -> bool:
        answers = [await _ask(connection, "/metrics", "localhost") for connection in connections]
        pids = {found[1] for answer in answers if (found := re.search(rb'pid="([0-9]+)"', answer))}
        return len(pids) == _PROCESSES

    async def found() -> list[_Connection] | None:
        connections = await connect()
        return connections if await reaches_all(connections) else None

    return await eventually(found, within_s=60) or []


async def _promote(
    client: Client, deployment_id: str, connections: list[_Connection], host: str, content: bytes
) -> list[float]:
    """The seconds from the answer to the promotion until each connection has the new page."""
    looks = [asyncio.create_task(_look(connection, host, content)) for connection in connections]
    answer = await client.post(f"/api/deployments/{deployment_id}/promote")
    assert answer.status == 200
    live_at = time.monotonic()
    return [max(0.0, seen_at - live_at) for seen_at in await asyncio.gather(*looks)]


async def _look(connection: _Connection, host: str, content: bytes) -> float:
    while await _ask(connection, "/", host) != content:  # noqa: ASYNC110 (a visitor is told nothing)
        await asyncio.sleep(_PAUSE_S)
    return time.monotonic()


async def _ask(connection: _Connection, path: str, host: str) -> bytes:
    reader, writer = connection
    writer.write(get(path, host).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(int(header(head, "content-length")))
