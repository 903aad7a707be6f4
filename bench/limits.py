"""The server at its limits: a long queue behind them, and a build that takes all the memory it may."""

import asyncio
import time
from pathlib import Path
from statistics import median

import asyncpg
import psutil

from bench.figures import Figure
from bench.first_deploy import server
from bench.load import cpu_s
from scalemesh.embedded.data_dir import socket_dir
from tests.parts.git import GitServer
from tests.parts.server import Client

_QUEUED = 1000
_QUEUE_USERS = 100
_WATCHED_S = 10.0
_WATCHES = 3
_MEMORY_MIB = 1024
_ASK_EVERY_S = 0.01

# 16 MiB each 30 ms: two seconds to the limit, and no breath for the machine.
_GREEDY = """
const held = [];
setInterval(() => held.push(Buffer.alloc(16 * 1024 * 1024, 1)), 30);
"""


async def measure(root: Path, git: GitServer) -> list[Figure]:
    return [*await _queue(root / "queue"), *await _memory(root / "memory", git)]


async def _queue(data_dir: Path) -> list[Figure]:
    """CPU time of the server process and of PostgreSQL, with nothing queued and with ``_QUEUED`` rows."""
    async with server(data_dir) as (_, _, process):
        await asyncio.sleep(5)  # what a start still does
        empty = await _cpu_s(process)
        await _fill(data_dir)
        await asyncio.sleep(2)
        full = await _cpu_s(process)
    share = {name: (full[name] - empty[name]) / _WATCHED_S * 100 for name in full}
    what = f"{_QUEUED:,} queued deployments, each second"
    return [
        Figure(f"{what}: the server, of a core", share["server"], 1.0, "%"),
        Figure(f"{what}: PostgreSQL, of a core", share["postgres"], None, "%"),
        Figure("the same server with none queued, of a core", empty["server"] / _WATCHED_S * 100, None, "%"),
    ]


async def _cpu_s(server: psutil.Process) -> dict[str, float]:
    """Seconds of CPU time in ``_WATCHED_S``, the median of ``_WATCHES``."""
    postgres = [process for process in server.children(recursive=True) if process.name() == "postgres"]
    of = {"server": [server], "postgres": postgres}
    used = []
    for _ in range(_WATCHES):
        before = {name: _used_s(processes) for name, processes in of.items()}
        await asyncio.sleep(_WATCHED_S)
        used.append({name: _used_s(processes) - before[name] for name, processes in of.items()})
    return {name: median(each[name] for each in used) for name in of}


def _used_s(processes: list[psutil.Process]) -> float:
    return sum(cpu_s(process.pid) for process in processes if process.is_running())


async def _fill(data_dir: Path) -> None:
    """As many builds as may run, held by nobody here, and the queue behind them."""
    connection = await asyncpg.connect(
        host=str(socket_dir(data_dir.resolve())), port=5432, user="postgres", database="scalemesh"
    )
    try:
        await connection.execute(
            f"""
            INSERT INTO users (id, name, email, email_key, password_hash)
            SELECT 'u' || n, 'Bench', 'u' || n || '@example.com', 'u' || n || '@example.com', 'x'
            FROM generate_series(1, {_QUEUE_USERS}) AS n;

            INSERT INTO projects (id, user_id, name, slug, git_url)
            SELECT 'p' || n, 'u' || (n % {_QUEUE_USERS} + 1), 'Bench', 'p' || n, 'https://example.com/a.git'
            FROM generate_series(1, {_QUEUED} + 2) AS n;

            INSERT INTO deployments (id, project_id, number, target, status, attempt, worker, lease_until)
            SELECT 'd' || n, 'p' || n, 1, 'production',
                CASE WHEN n > {_QUEUED} THEN 'building' ELSE 'queued' END,
                CASE WHEN n > {_QUEUED} THEN 1 ELSE 0 END,
                CASE WHEN n > {_QUEUED} THEN 'another server' END,
                CASE WHEN n > {_QUEUED} THEN now() + interval '1 hour' END
            FROM generate_series(1, {_QUEUED} + 2) AS n;

            ANALYZE;
            """  # noqa: S608
        )
    finally:
        await connection.close()


async def _memory(data_dir: Path, git: GitServer) -> list[Figure]:
    url = await git.make_repo("greedy", {"index.html": "<p>greedy</p>", "greedy.js": _GREEDY})
    async with server(data_dir, BUILD_MEMORY_MIB=str(_MEMORY_MIB)) as (_, client, _):
        await client.sign_up()
        project = await client.project(url, buildCommand="node greedy.js")
        deployment_id = await client.deploy(project["projectID"])
        building = asyncio.create_task(client.ended(deployment_id, within_s=120))
        taken_ms = []
        while not building.done():
            taken_ms.append(await _live_ms(client))
            await asyncio.sleep(_ASK_EVERY_S)
        ended = building.result()
    assert ended["error"]["code"] == "out_of_memory", ended
    what = f"/health/live beside a build that fills its {_MEMORY_MIB:,} MiB"
    return [
        Figure(f"{what}, worst of {len(taken_ms)}", max(taken_ms), 250.0, "ms"),
        Figure("the same, median", median(taken_ms), None, "ms"),
    ]


async def _live_ms(client: Client) -> float:
    began = time.monotonic()
    answer = await client.get("/health/live")
    assert answer.status == 200
    return (time.monotonic() - began) * 1000
