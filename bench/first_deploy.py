"""The first whole: start, deploy, watch, idle. A real server process on a data directory of its own."""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import psutil
from playwright.async_api import async_playwright

from bench.figures import Figure
from tests.parts.browser import ARGUMENTS, find_chromium
from tests.parts.git import GitServer
from tests.parts.ports import unused_port
from tests.parts.server import Client, eventually

_ROOT = Path(__file__).resolve().parents[1]
_RUNS = 5
_PRINTED_LINES = 100
_IDLE_S = 5


async def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        figures = []
        (root / "repositories").mkdir()
        with GitServer.serve(root / "repositories") as git:
            async with server(root / "data") as (first_start_s, _, _):
                pass
            starts = []
            for _ in range(_RUNS):
                async with server(root / "data") as (start_s, _, _):
                    starts.append(start_s)
            figures += [
                Figure("start on a new data directory, to a 200 from /health", first_start_s, 6.0, "s"),
                Figure(f"start on a used one, median of {_RUNS}", median(starts), 3.0, "s"),
            ]
            async with server(root / "data") as (_, client, process):
                await asyncio.sleep(_IDLE_S)
                figures.append(Figure("idle server process, RSS", _rss_mb(process), 120, "MB"))
                await client.sign_up()
                figures.append(await _plain_html(client, git))
                figures.append(await _vite(client))
                figures += await _line_latency(client, git)
        return figures


@asynccontextmanager
async def server(data_dir: Path, **settings: str) -> AsyncIterator[tuple[float, Client, psutil.Process]]:
    """The seconds from the start of the process to health, a client, and the process."""
    port = unused_port()
    environment = {
        **os.environ,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATA_DIR": str(data_dir),
        "ALLOW_LOCAL_REPOS": "1",
        **settings,
    }
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_ROOT / "scalemesh.py"),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            client = Client(session, port)
            await eventually(lambda: _is_up(client), within_s=60, every_s=0.01)
            yield time.monotonic() - began, client, psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


async def _is_up(client: Client) -> bool:
    try:
        return (await client.get("/health")).status == 200
    except aiohttp.ClientConnectionError:
        return False


def _rss_mb(process: psutil.Process) -> float:
    return process.memory_info().rss / 1e6


async def _plain_html(client: Client, git: GitServer) -> Figure:
    pages = {f"page-{number}.html": f"<p>{number}</p>" * 50 for number in range(19)}
    url = await git.make_repo("plain", {"index.html": "<h1>0</h1>", **pages})
    project = await client.project(url)
    taken = []
    for run in range(1, _RUNS + 1):
        await git.commit("plain", {"index.html": f"<h1>{run}</h1>"}, f"Run {run}")
        began = time.monotonic()
        await client.deploy(project["projectID"])
        await eventually(
            lambda: client.site(project["url"]),
            lambda answer, page=f"<h1>{run}</h1>": answer.text == page,  # type: ignore[misc]
            within_s=30,
            every_s=0.01,
        )
        taken.append(time.monotonic() - began)
    return Figure(f"plain HTML, 20 files: deploy to the new page, median of {_RUNS}", median(taken), 1.5, "s")


async def _vite(client: Client) -> Figure:
    """From POST to ready, less the time in git, npm and vite as the log's timestamps tell it."""
    project = await client.project("example:vite-react")
    own = []
    for _ in range(3):
        began = time.monotonic()
        deployment_id = await client.deploy(project["projectID"])
        ended = await client.ended(deployment_id, within_s=300)
        total = time.monotonic() - began
        assert ended["status"] == "ready", await client.log(deployment_id)
        answer = await client.get(f"/api/deployments/{deployment_id}/logs")
        lines = [event for row in answer.text.splitlines() if (event := _json(row))["type"] == "line"]
        own.append(total - sum(_phase_s(lines, phase) for phase in ("clone", "install", "build")))
    return Figure("Vite + React: our own time, median of 3", median(own), 1.0, "s")


def _phase_s(lines: list[dict[str, Any]], phase: str) -> float:
    """From the phase's first line to the first one after it."""
    times = [(line["phase"], datetime.fromisoformat(line["time"])) for line in lines]
    start = next(at for name, at in times if name == phase)
    last = max(index for index, (name, _) in enumerate(times) if name == phase)
    return (times[min(last + 1, len(times) - 1)][1] - start).total_seconds()


def _json(row: str) -> dict[str, Any]:
    return dict(json.loads(row))


async def _line_latency(client: Client, git: GitServer) -> list[Figure]:
    """A build prints the time; Chromium notes when the line is on the page. One machine, one clock."""
    script = f'for i in $(seq {_PRINTED_LINES}); do echo "tick $(date +%s%3N)"; sleep 0.05; done'
    url = await git.make_repo("ticks", {"index.html": "<p>ticks</p>"})
    project = await client.project(url, buildCommand=script)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        context = await browser.new_context()
        cookies = client.session.cookie_jar.filter_cookies(f"http://localhost:{client.port}")  # type: ignore[arg-type]
        await context.add_cookies(
            [{"name": name, "value": morsel.value, "url": client.origin} for name, morsel in cookies.items()]
        )
        page = await context.new_page()
        await page.add_init_script(_WATCH)
        deployment_id = await client.deploy(project["projectID"])
        await page.goto(f"{client.origin}/deployments/{deployment_id}")
        await client.ended(deployment_id, within_s=120)
        lags = await eventually(
            lambda: page.evaluate("window.lags"), lambda seen: len(seen) >= _PRINTED_LINES // 2, within_s=10
        )
        lags.sort()
        await browser.close()
    # What was printed before the page was open is not a delay of ours.
    return [
        Figure(f"a printed line in the browser, median of {len(lags)}", median(lags), 150, "ms"),
        Figure("the same, 95th percentile", lags[int(len(lags) * 0.95)], 150, "ms"),
    ]


_WATCH = """
window.lags = [];
const seen = new Set();
const opened = Date.now();
new MutationObserver(() => {
  for (const [text, at] of (document.querySelector('#log')?.textContent ?? '').matchAll(/tick (\\d{13})/g)) {
    if (seen.has(at)) continue;
    seen.add(at);
    if (Number(at) > opened + 1000) window.lags.push(Date.now() - Number(at));
  }
}).observe(document, { childList: true, subtree: true, characterData: true });
"""
