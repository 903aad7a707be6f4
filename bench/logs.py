"""The live log under a crowd: a real server, a real build, and consoles in a process of their own."""

import asyncio
import json
import secrets
import socket
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from playwright.async_api import async_playwright

from bench.figures import Figure
from bench.first_deploy import server
from bench.load import cpu_s
from bench.printers import Printing
from bench.watchers import Seen, Watch
from scalemesh.artifacts import DirectoryStore
from scalemesh.embedded import embedded_servers, hold_data_dir
from scalemesh.embedded.data_dir import socket_dir
from scalemesh.logs.archive import BuildLog, write_build_log
from scalemesh.model import DeploymentID, LogLine, ProjectID
from tests.parts.browser import ARGUMENTS, find_chromium
from tests.parts.git import GitServer
from tests.parts.ports import unused_port
from tests.parts.server import Client, eventually
from tests.web.readers import UPGRADE

_WATCHERS = 1000
_TICKS = 10_000
_TICKS_PER_S = 1000
_DEAF = 5
_BUILDS = 200
_BUILD_LINES = 1000
_BUILD_LINES_PER_S = 100
_LONG = 50_000
_OVER_S = 60.0

# Waits at the gate until every console is open, then prints a line each millisecond.
_TICKER = """
const [gate, total] = [process.argv[2], Number(process.argv[3])];
const go = async () => {
  for (;;) {
    try { if ((await fetch(gate)).ok) break; } catch {}
    await new Promise((done) => setTimeout(done, 50));
  }
  const began = Date.now();
  let printed = 0;
  const timer = setInterval(() => {
    const due = Math.min(total, Date.now() - began);
    let text = '';
    while (printed < due) text += `tick ${Date.now()} ${++printed}\\n`;
    if (text) process.stdout.write(text);
    if (printed >= total) clearInterval(timer);
  }, 1);
};
go();
"""


@dataclass(frozen=True, slots=True)
class Measured:
    seen: Seen
    cpu: float
    """Of one core, in per cent."""
    rss_mb: float
    """More than before."""


async def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "repositories").mkdir()
        with GitServer.serve(root / "repositories") as git, hold_data_dir(root / "redis") as redis_dir:
            # Not the server's own, which lets nobody else in.
            async with (
                embedded_servers(redis_dir, postgres=False) as servers,
                server(root / "data", REDIS_URL=(redis_url := servers.redis_url or "")) as (
                    _,
                    client,
                    process,
                ),
            ):
                await client.sign_up()
                url = await git.make_repo("ticker", {"index.html": "<p>ticks</p>", "ticker.js": _TICKER})
                crowd = await _crowd(client, process, url)
                relay = await _relay(client, redis_url, url, watchers=_WATCHERS // 3)
                many = await _many_builds(client, process, redis_url, root / "data")
                opened = await _open_long(client, root / "data")
    what = f"{_WATCHERS:,} watchers of {_TICKS_PER_S:,} lines/s"
    ours, deaf_s = crowd
    return [
        Figure(f"{what}: print to socket, p99", ours.seen.p99_ms, 250, "ms"),
        Figure("the same, median", ours.seen.p50_ms, None, "ms"),
        Figure("the same, worst", ours.seen.max_ms, None, "ms"),
        Figure("the same, consoles that missed or doubled a line", ours.seen.wrong, 0, ""),
        Figure("the same, of one core", ours.cpu, 60, "%"),
        Figure("the same, RSS more than before", ours.rss_mb, 150, "MB"),
        Figure(f"{_DEAF} more that stop reading: closed after, the last", deaf_s, 10, "s"),
        Figure(f"a minimal relay with {_WATCHERS // 3}: p99", relay.seen.p99_ms, None, "ms"),
        Figure("the same, of one core", relay.cpu, None, "%"),
        Figure("our p99 / a minimal relay's with a third", ours.seen.p99_ms / relay.seen.p99_ms, 1, ""),
        Figure(f"{_BUILDS} builds at {_BUILD_LINES_PER_S} lines/s: p99", many.seen.p99_ms, 250, "ms"),
        Figure("the same, consoles that missed or doubled a line", many.seen.wrong, 0, ""),
        Figure("the same, of one core", many.cpu, None, "%"),
        *opened,
    ]


async def _crowd(client: Client, process: psutil.Process, url: str) -> tuple[Measured, float]:
    """The build under its watchers, and how long after their last word the deaf ones were off the line."""
    async with _ticking(client, url) as (deployment_id, gate):
        path = f"/api/deployments/{deployment_id}/logs/live?after=0"
        deaf = [_deaf(client, path) for _ in range(_DEAF)]
        ports = {each.getsockname()[1] for each in deaf}
        deaf_at = time.monotonic()
        watch = Watch(client.port, [path] * _WATCHERS, _headers(client), _TICKS, _OVER_S)
        measuring = asyncio.create_task(_watch(watch, process, gate))

        def held() -> set[int]:
            return ports & _held_by(client.port)

        await eventually(held, lambda found: found == ports, within_s=_OVER_S, every_s=0.1)
        await eventually(held, lambda found: not found, within_s=_OVER_S, every_s=0.25)
        deaf_s = time.monotonic() - deaf_at
        measured = await measuring
        for each in deaf:
            each.close()
    await client.ended(deployment_id, within_s=_OVER_S)
    return measured, deaf_s


async def _relay(client: Client, redis_url: str, url: str, *, watchers: int) -> Measured:
    port = unused_port()
    async with _ticking(client, url) as (deployment_id, gate):
        project_id = (await client.deployment(deployment_id))["projectID"]
        relay = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.relay", str(port), redis_url, f"logs:{project_id}"
        )
        try:
            await eventually(lambda: _listens(port), within_s=20)
            watch = Watch(port, ["/"] * watchers, "", _TICKS, _OVER_S)
            measured = await _watch(watch, psutil.Process(relay.pid), gate)
        finally:
            relay.kill()
            await relay.wait()
    await client.ended(deployment_id, within_s=_OVER_S)
    return measured


async def _many_builds(client: Client, process: psutil.Process, redis_url: str, data_dir: Path) -> Measured:
    builds = [(f"p{secrets.token_hex(5)}", f"d{secrets.token_hex(5)}") for _ in range(_BUILDS)]
    await _insert(client, data_dir, builds, status="building")
    printing = Printing(redis_url, builds, _BUILD_LINES, _BUILD_LINES_PER_S)
    paths = [f"/api/deployments/{deployment_id}/logs/live?after=0" for _, deployment_id in builds]
    watch = Watch(client.port, paths, _headers(client), _BUILD_LINES, _OVER_S)
    printers: list[Process] = []

    async def start() -> None:
        printers.append(
            await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.printers", stdin=PIPE)
        )
        assert printers[0].stdin is not None
        printers[0].stdin.write(json.dumps(asdict(printing)).encode())
        printers[0].stdin.close()

    try:
        return await _watch(watch, process, start)
    finally:
        for printer in printers:
            if printer.returncode is None:
                printer.kill()
            await printer.wait()


async def _watch(watch: Watch, server: psutil.Process, start: Any) -> Measured:
    """``start`` is called once every console is open."""
    rss = server.memory_info().rss
    watchers = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.watchers", stdin=PIPE, stdout=PIPE
    )
    assert watchers.stdin is not None
    assert watchers.stdout is not None
    watchers.stdin.write(json.dumps(asdict(watch)).encode())
    watchers.stdin.close()
    assert await watchers.stdout.readline() == b"open\n"
    await asyncio.sleep(1)  # what opening them still does
    before, began = cpu_s(server.pid), time.monotonic()
    await start()
    seen = Seen(**json.loads(await watchers.stdout.readline()))
    took_s, used = time.monotonic() - began, cpu_s(server.pid) - before
    grown = server.memory_info().rss - rss
    await watchers.wait()
    return Measured(seen, used / took_s * 100, grown / 1e6)


@asynccontextmanager
async def _ticking(client: Client, url: str) -> AsyncIterator[tuple[str, Any]]:
    """A deployment that is building and waits at a gate, and what opens that."""
    opened = False

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        status = b"200 OK" if opened else b"503 Not yet"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def open_gate() -> None:
        nonlocal opened
        opened = True

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as gate:
        address = f"http://127.0.0.1:{gate.sockets[0].getsockname()[1]}/"
        project = await client.project(url, buildCommand=f"node ticker.js {address} {_TICKS}")
        deployment_id = await client.deploy(project["projectID"])
        await eventually(
            lambda: client.log(deployment_id), lambda log: "$ node ticker.js" in log, within_s=_OVER_S
        )
        yield deployment_id, open_gate


def _headers(client: Client) -> str:
    cookie = next(iter(client.session.cookie_jar))
    return f"Cookie: {cookie.key}={cookie.value}\r\nOrigin: {client.origin}\r\n"


def _deaf(client: Client, path: str) -> socket.socket:
    """A console that reads nothing from here on, its pings neither."""
    connection = socket.create_connection(("127.0.0.1", client.port))
    head = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
    host = f"Host: localhost:{client.port}\r\n"
    connection.sendall(f"GET {path} HTTP/1.1\r\n{host}{head}{_headers(client)}\r\n".encode())
    return connection


def _held_by(port: int) -> set[int]:
    """The peers' ports of the server's connections that it has not closed.

    One that it closed may be with the kernel for a long time yet, but is then no process' (inode 0).
    """
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    mine = f":{port:04X}"
    return {int(row[2][-4:], 16) for row in rows if row[1].endswith(mine) and row[9] != "0"}


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _insert(client: Client, data_dir: Path, builds: Sequence[tuple[str, str]], *, status: str) -> None:
    """Deployments of the client's, each with a project, that no worker will take."""
    user_id = (await client.get("/user/me")).json["id"]
    connection = await asyncpg.connect(
        host=str(socket_dir(data_dir.resolve())), port=5432, user="postgres", database="scalemesh"
    )
    try:
        await connection.executemany(
            """
            INSERT INTO projects (id, user_id, name, slug, git_url)
            VALUES ($1, $2, 'Bench', $1, 'https://example.com/a.git')
            """,
            [(project_id, user_id) for project_id, _ in builds],
        )
        await connection.executemany(
            """
            INSERT INTO deployments (
                id, project_id, number, target, status, attempt, worker, lease_until, started_at, finished_at
            )
            VALUES (
                $1, $2, 1, 'production', $3, 1,
                CASE WHEN $3 = 'building' THEN 'a bench' END,
                CASE WHEN $3 = 'building' THEN now() + interval '1 hour' END,
                now(),
                CASE WHEN $3 <> 'building' THEN now() END
            )
            """,
            [(deployment_id, project_id, status) for project_id, deployment_id in builds],
        )
    finally:
        await connection.close()


async def _open_long(client: Client, data_dir: Path) -> list[Figure]:
    """A finished log in Chromium, from the click to the first lines, and to the last one."""
    project_id, deployment_id = f"p{secrets.token_hex(5)}", f"d{secrets.token_hex(5)}"
    await _insert(client, data_dir, [(project_id, deployment_id)], status="failed")
    lines = [
        LogLine(
            seq, "2030-01-31T12:00:00.000Z", "stdout", "build", f"\x1b[32m✓\x1b[0m module {seq} transformed"
        )
        for seq in range(1, _LONG + 1)
    ]
    store = DirectoryStore(data_dir / "artifacts")
    await write_build_log(store, ProjectID(project_id), DeploymentID(deployment_id), 1, BuildLog(lines, None))
    firsts, wholes = [], []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        context = await browser.new_context()
        cookies = client.session.cookie_jar.filter_cookies(client.origin)  # type: ignore[arg-type]
        await context.add_cookies(
            [{"name": name, "value": morsel.value, "url": client.origin} for name, morsel in cookies.items()]
        )
        # As from a link of the dashboard: the start of a tab's process is nobody's click.
        page = await context.new_page()
        await page.add_init_script(_WHEN)
        for _ in range(4):
            await page.goto(f"{client.origin}/")
            await page.goto(f"{client.origin}/deployments/{deployment_id}")
            times = await eventually(
                lambda: page.evaluate("window.times"),
                lambda times: times["whole"],
                within_s=_OVER_S,
            )
            firsts.append(times["first"])
            wholes.append(times["whole"])
        await browser.close()
    # The first one fills the browser's caches.
    return [
        Figure(f"a finished log of {_LONG:,} lines in Chromium: first screen", min(firsts[1:]), 300, "ms"),
        Figure("the same, all of it", min(wholes[1:]), 2000, "ms"),
        Figure("the same in a browser that has nothing of the page: first screen", firsts[0], None, "ms"),
    ]


_WHEN = f"""
window.times = {{ first: 0, whole: 0 }};
const look = () => {{
  const line = document.querySelector('#log .line .text');
  if (line && !window.times.first) window.times.first = performance.now();
  const count = document.querySelector('#log-count')?.textContent;
  if (count === '{_LONG:,} lines') window.times.whole = performance.now();
  else requestAnimationFrame(look);
}};
requestAnimationFrame(look);
"""
