"""Visitors of a site while the same machine builds, by real builders with their sandboxes."""

import asyncio
import tempfile
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import psutil

from bench.figures import Figure
from bench.first_deploy import server
from bench.load import Load, get, run_load
from tests.parts.git import GitServer
from tests.parts.server import Client, eventually

BUILDS = 20
COMMAND = "python3 print.py"
PAUSES = {"up to 2,500 lines a second": "0.02", "all they can": "0"}
"""After each fifty lines, in seconds."""

ROUNDS = 5
SECONDS = 2.0
SETTLE_S = 4
"""Until what canceled builds leave is cleared away."""

PRINT = """\
import sys, time
number, pause = 0, float(sys.argv[1])
end = time.monotonic() + 60
while time.monotonic() < end:
    for _ in range(50):
        number += 1
        print(f"transforming ({number}) node_modules/some-package/dist/esm/index-{number}.js")
    sys.stdout.flush()
    time.sleep(pause)
"""
"""Until it is canceled."""


async def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        repositories = Path(directory, "repositories")
        repositories.mkdir()
        many = {"BUILD_CONCURRENCY": str(BUILDS), "BUILDS_PER_USER": str(BUILDS)}
        with GitServer.serve(repositories) as git:
            async with server(Path(directory, "data"), **many) as (_, client, process):
                return await _by_turns(client, git, process.pid)


async def _by_turns(client: Client, git: GitServer, server_pid: int) -> list[Figure]:
    await client.sign_up()
    host = await _hot_site(client, git)
    url = await git.make_repo("print", {"print.py": PRINT})
    projects = {
        each: [
            await client.project(url, name=f"{each} {number}", buildCommand=f"{COMMAND} {pause}")
            for number in range(BUILDS)
        ]
        for each, pause in PAUSES.items()
    }
    # Visitors who take their time: the figures are of the server, not of a full processor.
    load = Load(client.port, [get("/", host)], 8, SECONDS, pause_s=0.005)
    quiet: list[float] = []
    busy: dict[str, list[float]] = {each: [] for each in PAUSES}
    for _ in range(ROUNDS):
        await asyncio.sleep(SETTLE_S)
        quiet.append((await run_load(load, server_pid)).p99_ms)
        for each in PAUSES:
            await asyncio.sleep(SETTLE_S)
            builds = [await client.deploy(project["projectID"]) for project in projects[each]]
            await eventually(_count_printing, lambda count: count == BUILDS)
            busy[each].append((await run_load(load, server_pid)).p99_ms)
            for build in builds:
                await client.post(f"/api/deployments/{build}/cancel")
            for build in builds:
                assert (await client.ended(build))["status"] == "canceled", await client.log(build)
    return [
        Figure("hot p99 in a quiet minute", median(quiet), None, "ms"),
        *(
            Figure(f"hot p99 while {BUILDS} builds log {each}", median(p99s), 3 * median(quiet), "ms")
            for each, p99s in busy.items()
        ),
    ]


async def _hot_site(client: Client, git: GitServer) -> str:
    """Its host; the page is in memory as soon as somebody has asked for it."""
    url = await git.make_repo("hot", {"index.html": "<h1>Hello</h1>" * 70})
    site = await client.project(url)
    await client.ended(await client.deploy(site["projectID"]))
    assert (await client.site(site["url"])).status == 200
    return str(urlsplit(site["url"]).netloc)


def _count_printing() -> int:
    return sum(
        (process.info["cmdline"] or [])[:2] == COMMAND.split() for process in psutil.process_iter(["cmdline"])
    )
