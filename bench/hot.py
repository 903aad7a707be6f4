"""Pages in use: a real server and, where it is installed, one nginx worker with the same files from disk."""

import asyncio
import random
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from bench.figures import Figure
from bench.first_deploy import server
from bench.load import Load, Outcome, first_answer, run_load
from tests.parts.git import GitServer
from tests.parts.ports import unused_port
from tests.parts.server import eventually

_FILES = 1000
_SECONDS = 3.0
_ROUNDS = 3
_CONNECTIONS = 64

_NGINX = """
daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; etag on;
  open_file_cache max=2000; types {{ text/html html; }}
  server {{ listen 127.0.0.1:{port}; root {site}; }}
}}
"""


async def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        root.chmod(0o755)  # nginx's worker is another user
        files = _make_files()
        for name, content in files.items():
            (root / "site").mkdir(exist_ok=True)
            (root / "site" / name).write_text(content)
        (root / "repositories").mkdir()
        with GitServer.serve(root / "repositories") as git:
            url = await git.make_repo("hot", files)
            async with server(root / "data") as (_, client, process), _nginx(root) as nginx:
                await client.sign_up()
                project = await client.project(url)
                await client.ended(await client.deploy(project["projectID"]))
                host = project["url"].removeprefix("http://")
                ours = await _measure_all(client.port, host, process.pid)
                figures = _figures("", ours)
                if nginx is not None:
                    theirs = await _measure_all(*nginx)
                    figures += _figures("nginx: ", theirs)
                    figures += [
                        Figure(
                            f"{name}: our CPU / one nginx worker's",
                            _ratio(ours, theirs, name),
                            bound,
                            "times",
                        )
                        for name, bound in _BOUNDS.items()
                    ]
                return figures


_BOUNDS = {"small file": 1.0, "304": 1.0, f"mix of {_FILES:,} files": 1.25}
"""As many requests in a second of processor time, and of the mix eight tenths."""


async def _measure_all(port: int, host: str, pid: int) -> dict[str, Outcome]:
    """The best of some rounds of each kind, as other work on the machine only ever makes it worse."""
    etag = _header(await first_answer(port, _get("/index.html", host)), "etag")
    kinds = [
        [_get("/index.html", host)],
        [_get("/index.html", host, f"If-None-Match: {etag}")],
        [_get(f"/page-{number}.html", host) for number in range(_FILES)],
    ]
    best: dict[str, Outcome] = {}
    for name, requests in zip(_BOUNDS, kinds, strict=True):
        rounds = [await run_load(Load(port, requests, _CONNECTIONS, _SECONDS), pid) for _ in range(_ROUNDS)]
        assert not any(outcome.failed for outcome in rounds)
        best[name] = min(rounds, key=lambda outcome: outcome.cpu_s_per_10k)
    return best


def _ratio(ours: dict[str, Outcome], theirs: dict[str, Outcome], name: str) -> float:
    return ours[name].cpu_s_per_10k / theirs[name].cpu_s_per_10k


def _figures(whose: str, outcomes: dict[str, Outcome]) -> list[Figure]:
    return [
        figure
        for name, outcome in outcomes.items()
        for figure in (
            Figure(f"{whose}{name}: CPU for 10,000 requests", outcome.cpu_s_per_10k * 1000, None, "ms"),
            Figure(f"{whose}{name}: p99", outcome.p99_ms, None, "ms"),
        )
    ]


@asynccontextmanager
async def _nginx(root: Path) -> AsyncIterator[tuple[int, str, int] | None]:
    """Port, host and the worker's process id; None where there is no nginx."""
    if (program := shutil.which("nginx")) is None:
        yield None
        return
    port = unused_port()
    (root / "nginx.conf").write_text(_NGINX.format(root=root, port=port, site=root / "site"))
    process = await asyncio.create_subprocess_exec(program, "-c", str(root / "nginx.conf"))
    try:
        master = psutil.Process(process.pid)
        [worker] = await eventually(master.children)
        yield port, "localhost", worker.pid
    finally:
        process.terminate()
        await process.wait()


def _make_files() -> dict[str, str]:
    source = random.Random(1)
    pages = {
        f"page-{number}.html": f"<!doctype html><p>{source.randbytes(500 + number).hex()}"
        for number in range(_FILES)
    }
    return {"index.html": "<!doctype html><p>" + "x" * 1000, **pages}


def _get(path: str, host: str, *lines: str) -> str:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *lines, "", ""])


def _header(answer: bytes, name: str) -> str:
    lines = answer.split(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}[name]
