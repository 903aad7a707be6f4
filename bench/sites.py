"""Sites beside the programs people would put there instead, all with the same bytes, one after another.

Half a minute of preparing, then some seconds for each scenario and peer; everything on the loopback.
"""

import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import psutil

from bench import corpus
from bench.figures import Figure
from bench.first_deploy import server
from bench.load import Load, Outcome, first_answer, get, header, run_load
from bench.peers import CADDY, GO_PROXY, NGINX, NGINX_PROXY, Peer, Peers, run_peers
from scalemesh import keys
from scalemesh.artifacts.bucket import Bucket, open_bucket
from scalemesh.artifacts.s3 import S3Store
from scalemesh.db.pool import Pool, open_pool
from scalemesh.db.sites import fetch_production_route
from scalemesh.embedded import EmbeddedServers, embedded_servers, hold_data_dir
from scalemesh.model import ProjectID
from tests.artifacts.s3_server import S3Server, run_s3_server
from tests.sites.site import Files, publish, sha256

OURS = "Scale Mesh"
OURS_S3 = "Scale Mesh, S3"

SECONDS = 0.5
ROUNDS = 5
"""Of all peers by turns, and short, for a machine whose speed changes from second to second."""
CONNECTIONS = 64
MANY_CONNECTIONS = 2000
ONE_BY_ONE = 200
"""Cold files asked for one after another, for the time of each."""
COLD_CONNECTIONS = (16, CONNECTIONS)
AT_ONCE = 1_000
"""Cold files asked for by so many connections, for how many come in a second; others in each round."""
SETTLE_S = 4
"""Until ours has written to its disk cache what it fetched, for which it waits until nobody asks for more."""
TAIL_REQUESTS = 3_000
PROJECTS = 100_000
LOOKUPS = 300
CACHE_MIB = 128
RSS_MB = CACHE_MIB * 1.048576 + 150

S3_SITE = "far"


@dataclass(frozen=True, slots=True)
class Row:
    scenario: str
    peer: str
    outcome: Outcome
    rss_mb: float

    def __str__(self) -> str:
        out = self.outcome
        return (
            f"| {self.scenario} | {self.peer} | {out.per_s:,.0f} | {out.p50_ms:.2f} | {out.p99_ms:.2f} "
            f"| {out.cpu_s_per_10k:.2f} | {self.rss_mb:.0f} |"
        )


_Value = Callable[[Outcome], float]


class Table:
    """The rounds of each scenario and peer, in turn."""

    def __init__(self) -> None:
        self.rounds: dict[tuple[str, str], list[Row]] = {}

    @property
    def rows(self) -> list[Row]:
        """Of each the round with the middle processor time."""
        return [sorted(rows, key=_cpu)[len(rows) // 2] for rows in self.rounds.values()]

    async def add(self, scenario: str, peer: Peer, load: Load) -> Outcome:
        print(f"{scenario}, {peer.name} …", file=sys.stderr)
        outcome = await run_load(load, peer.pid)
        assert not outcome.failed, f"{peer.name} failed {outcome.failed} of {scenario}"
        rss = psutil.Process(peer.pid).memory_info().rss / 1e6
        rounds = self.rounds.setdefault((scenario, peer.name), [])
        rounds.append(Row(scenario, peer.name, outcome, rss))
        return outcome

    def ratio(
        self,
        scenario: str,
        ours: str,
        theirs: str,
        bound: float | None,
        of: str,
        whose: _Value,
    ) -> list[Figure]:
        """Ours divided by theirs, the median of the rounds, if there are any."""
        if (scenario, theirs) not in self.rounds:
            return []
        pairs = zip(self.rounds[scenario, ours], self.rounds[scenario, theirs], strict=True)
        value = median(whose(row.outcome) / whose(other.outcome) for row, other in pairs)
        return [Figure(f"{scenario}: {of}, ours / {theirs}", value, bound, "times")]


def _cpu(row: Row) -> float:
    return row.outcome.cpu_s_per_10k


async def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        root.chmod(0o755)  # nginx's worker is another user
        for name in ("data", "s3", "parts", "sites"):
            (root / name).mkdir()
        with hold_data_dir(root / "parts") as parts:
            async with embedded_servers(parts) as servers, run_s3_server(root / "s3") as s3:
                _use(s3)
                return await _measure(root, servers, s3)


def _use(s3: S3Server) -> None:
    os.environ |= {
        "AWS_ACCESS_KEY_ID": s3.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3.secret_access_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


async def _measure(root: Path, servers: EmbeddedServers, s3: S3Server) -> list[Figure]:
    assert servers.database_url is not None
    assert servers.redis_url is not None
    shared = {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "SESSION_KEY": "a key for measuring only",
        "CACHE_MEMORY_MIB": str(CACHE_MIB),
    }
    far = {"S3_BUCKET": s3.bucket, "S3_ENDPOINT_URL": s3.endpoint_url}
    table = Table()
    async with (
        server(root / "data/near", **shared) as (_, near_client, near),
        server(root / "data/far", **shared, **far) as (_, far_client, far_process),
        run_peers(root, root / "sites", urlsplit(s3.endpoint_url).netloc) as peers,
        open_bucket(
            s3.bucket, endpoint_url=s3.endpoint_url, access_key_id=None, secret_access_key=None
        ) as bucket,
        open_pool(servers.database_url) as pool,
    ):
        print("\n".join(["", *peers.versions, ""]))
        ours = Peer(OURS, near_client.port, near.pid)
        ours_s3 = Peer(OURS_S3, far_client.port, far_process.pid)
        tail = [f"t{number}" for number in range(corpus.SITES)]
        await corpus.add_rows(pool, [corpus.PLAIN_SITE, S3_SITE, *tail])
        figures = await _lookups(pool)
        artifacts = root / "data/near/artifacts"
        await corpus.put_site(artifacts, root / "sites", corpus.PLAIN_SITE, corpus.hot_site())
        for number, slug in enumerate(tail):
            await corpus.put_site(artifacts, root / "sites", slug, corpus.tail_site(number))
        files = corpus.s3_site(ONE_BY_ONE + len(COLD_CONNECTIONS) * ROUNDS * AT_ONCE)
        await publish(S3Store(bucket), files, project=S3_SITE, deployment=f"d{S3_SITE}")

        disk = [ours, *(peers.running[name] for name in (NGINX, CADDY) if name in peers.running)]
        await _from_memory(table, disk)
        await _long_tail(table, disk)
        figures += await _from_s3(table, ours_s3, peers, bucket, files)
        figures += await _many_connections(table, disk)
    print("| scenario | whose | requests/s | p50, ms | p99, ms | CPU s for 10,000 | RSS, MB |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(map(str, table.rows)))
    print()
    return [*_ratios(table), *figures]


async def _from_memory(table: Table, peers: Sequence[Peer]) -> None:
    tags = {peer: header(await first_answer(peer.port, _get(corpus.SMALL)), "etag") for peer in peers}
    kinds: dict[str, Callable[[Peer], list[str]]] = {
        "small": lambda peer: [_get(corpus.SMALL)],
        "br asset": lambda peer: [_get(corpus.ASSET, "Accept-Encoding: br")],
        "304": lambda peer: [_get(corpus.SMALL, f"If-None-Match: {tags[peer]}")],
        "404": lambda peer: [_get("/none.css")],
        "mix": lambda peer: [_get(f"/page-{number}.html") for number in range(corpus.MIX_FILES)],
    }
    for scenario, requests in kinds.items():
        for _ in range(ROUNDS):
            for peer in peers:
                await table.add(scenario, peer, Load(peer.port, requests(peer), CONNECTIONS, SECONDS))


async def _long_tail(table: Table, peers: Sequence[Peer]) -> None:
    """The first time with everything that is not in memory yet."""
    source = random.Random(3)
    weights = [1 / (number + 1) for number in range(corpus.SITES)]
    drawn = source.choices(range(corpus.SITES), weights, k=TAIL_REQUESTS)
    requests = [
        _get(f"/f{source.randrange(corpus.SITE_FILES)}.html", host=f"t{number}.localhost") for number in drawn
    ]
    for scenario in ("long tail, first time", "long tail"):
        for peer in peers:
            load = Load(peer.port, requests, CONNECTIONS, 30, once=True)
            outcome = await table.add(scenario, peer, load)
            assert outcome.requests == TAIL_REQUESTS


async def _from_s3(table: Table, ours: Peer, peers: Peers, bucket: Bucket, files: Files) -> list[Figure]:
    names = [name for name in files if name.startswith("/cold")]
    objects = {name: keys.blob(ProjectID(S3_SITE), sha256(_bytes(file))) for name, file in files.items()}
    await _bare_gets(bucket, [objects[name] for name in names])  # has the S3 server read them itself
    bare = await _bare_gets(bucket, [objects[name] for name in names[:ONE_BY_ONE]])
    urls = {name: await _signed(bucket, key) for name, key in objects.items()}
    host = f"{S3_SITE}.localhost"
    await first_answer(ours.port, _get("/cold-none.bin", host=host))  # the manifest
    proxies = [peers.running[name] for name in (NGINX_PROXY, GO_PROXY) if name in peers.running]

    def ask(name: str, peer: Peer) -> str:
        return _get(name if peer is ours else urls[name], host=host)

    for peer in (ours, *proxies):
        one_by_one = [ask(name, peer) for name in names[:ONE_BY_ONE]]
        await table.add("cold, one by one", peer, Load(peer.port, one_by_one, 1, 15, once=True))
        if peer is ours:
            await asyncio.sleep(SETTLE_S)
    begins = range(ONE_BY_ONE, len(names), AT_ONCE)
    for begin, connections in zip(begins, COLD_CONNECTIONS * ROUNDS, strict=True):
        for peer in (ours, *proxies):
            at_once = [ask(name, peer) for name in names[begin : begin + AT_ONCE]]
            load = Load(peer.port, at_once, connections, 15, once=True)
            await table.add(f"cold, {connections} at once", peer, load)
            if peer is ours:
                await asyncio.sleep(SETTLE_S)
    for _ in range(ROUNDS):
        for peer in (ours, *proxies):
            if peer is not ours:
                await table.add("small", peer, Load(peer.port, [ask(names[0], peer)], CONNECTIONS, SECONDS))
            await table.add("5 MB", peer, Load(peer.port, [ask("/large.bin", peer)], 8, SECONDS))
    cold = table.rounds["cold, one by one", OURS_S3][0].outcome.p50_ms
    return [
        Figure("a bare signed GET, median", bare * 1000, None, "ms"),
        Figure("cold miss, median, ours / a bare signed GET", cold / (bare * 1000), 1.3, "times"),
    ]


async def _bare_gets(bucket: Bucket, objects: Sequence[str]) -> float:
    took = []
    for key in objects:
        began = time.perf_counter()
        async with await bucket.request("GET", key) as answer:
            await answer.read()
        took.append(time.perf_counter() - began)
    return median(took)


async def _signed(bucket: Bucket, key: str) -> str:
    url = urlsplit(
        await bucket.client.generate_presigned_url("get_object", Params={"Bucket": bucket.name, "Key": key})
    )
    return f"{url.path}?{url.query}"


async def _lookups(pool: Pool) -> list[Figure]:
    few = await _lookup_s(pool, corpus.SITES)
    slugs = [f"x{number}" for number in range(PROJECTS)]
    await corpus.add_rows(pool, slugs)
    await pool.execute("ANALYZE")
    many = await _lookup_s(pool, corpus.SITES)
    return [
        Figure("a host's lookup in the database, 1,000 projects", few * 1000, None, "ms"),
        Figure(f"the same among {PROJECTS:,} / among 1,000", many / few, 1.3, "times"),
    ]


async def _lookup_s(pool: Pool, count: int) -> float:
    took = []
    for number in range(LOOKUPS):
        began = time.perf_counter()
        assert await fetch_production_route(pool, f"t{number * 7 % count}")
        took.append(time.perf_counter() - began)
    return median(took)


async def _many_connections(table: Table, peers: Sequence[Peer]) -> list[Figure]:
    for peer in peers:
        load = Load(peer.port, [_get(corpus.SMALL)], MANY_CONNECTIONS, 3)
        rss: list[float] = []
        async with _sampled(peer.pid, rss):
            await table.add(f"small, {MANY_CONNECTIONS:,} connections", peer, load)
        if peer.name == OURS:
            ours = max(rss)
    return [Figure(f"RSS with {MANY_CONNECTIONS:,} connections", ours, RSS_MB, "MB")]


@asynccontextmanager
async def _sampled(pid: int, rss_mb: list[float]) -> AsyncIterator[None]:
    process = psutil.Process(pid)

    async def sample() -> None:
        while True:
            rss_mb.append(process.memory_info().rss / 1e6)
            await asyncio.sleep(0.1)

    task = asyncio.create_task(sample())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _ratios(table: Table) -> list[Figure]:
    def cpu(scenario: str, theirs: str, bound: float | None) -> list[Figure]:
        return table.ratio(scenario, OURS, theirs, bound, "CPU", lambda outcome: outcome.cpu_s_per_10k)

    def time_taken(scenario: str, theirs: str, bound: float | None) -> list[Figure]:
        return table.ratio(
            scenario, OURS_S3, theirs, bound, "time for each", lambda outcome: 1 / outcome.per_s
        )

    return [
        *(figure for scenario in ("small", "304") for figure in cpu(scenario, NGINX, 1.0)),
        *(figure for scenario in ("small", "304") for figure in cpu(scenario, CADDY, 1 / 5)),
        *cpu("small", GO_PROXY, 1 / 20),
        *cpu("mix", NGINX, 1 / 0.8),
        *(
            figure
            for scenario in ("br asset", "404", "long tail, first time", "long tail")
            for figure in cpu(scenario, NGINX, None)
        ),
        *(
            figure
            for connections in COLD_CONNECTIONS
            for figure in time_taken(f"cold, {connections} at once", GO_PROXY, 1.0)
        ),
        *time_taken("5 MB", NGINX_PROXY, 1 / 0.9),
    ]


def _get(path: str, *lines: str, host: str = f"{corpus.PLAIN_SITE}.localhost") -> str:
    return get(path, host, *lines)


def _bytes(file: object) -> bytes:
    assert isinstance(file, bytes)
    return file
