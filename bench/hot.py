"""Pages in use: a real server and, where it is installed, one nginx worker with the same files from disk."""

import random
import tempfile
from pathlib import Path

from bench.figures import Figure
from bench.first_deploy import server
from bench.load import Load, Outcome, first_answer, get, header, run_load
from bench.peers import NGINX, run_peers
from tests.parts.git import GitServer

_FILES = 1000
_SECONDS = 3.0
_ROUNDS = 3
_CONNECTIONS = 64
_HOST = "hot.localhost"


async def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        root.chmod(0o755)  # nginx's worker is another user
        files = _make_files()
        directory_of_host = root / "sites" / _HOST
        directory_of_host.mkdir(parents=True)
        for name, content in files.items():
            (directory_of_host / name).write_text(content)
        (root / "repositories").mkdir()
        with GitServer.serve(root / "repositories") as git:
            url = await git.make_repo("hot", files)
            async with (
                server(root / "data") as (_, client, process),
                run_peers(root, root / "sites", programs=[NGINX]) as peers,
            ):
                await client.sign_up()
                project = await client.project(url)
                await client.ended(await client.deploy(project["projectID"]))
                host = project["url"].removeprefix("http://")
                ours = await _measure_all(client.port, host, process.pid)
                figures = _figures("", ours)
                if (nginx := peers.running.get(NGINX)) is not None:
                    theirs = await _measure_all(nginx.port, _HOST, nginx.pid)
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
    etag = header(await first_answer(port, get("/index.html", host)), "etag")
    kinds = [
        [get("/index.html", host)],
        [get("/index.html", host, f"If-None-Match: {etag}")],
        [get(f"/page-{number}.html", host) for number in range(_FILES)],
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


def _make_files() -> dict[str, str]:
    source = random.Random(1)
    pages = {
        f"page-{number}.html": f"<!doctype html><p>{source.randbytes(500 + number).hex()}"
        for number in range(_FILES)
    }
    return {"index.html": "<!doctype html><p>" + "x" * 1000, **pages}
