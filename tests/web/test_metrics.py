"""/metrics: what is documented, to those who may read it, and true."""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scalemesh.logs import looks
from tests.parts.git import GitServer
from tests.parts.processes import gate, open_gate
from tests.parts.server import Server, StartServer
from tests.web.test_front import raw

TOKEN = "a-token-for-tests-only"
DOCUMENTED = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(port: int, *, host: str = "127.0.0.1", **headers: str) -> tuple[int, str]:
    headers = {"Host": f"{host}:{port}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics", headers=headers) as response,
    ):
        return response.status, await response.text()


async def samples(port: int) -> Samples:
    """Without ``pid``, which is this process's."""
    status, text = await scrape(port)
    assert status == 200
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("pid", str(os.getpid())) == str(os.getpid())
            found[sample.name, frozenset(labels.items())] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0.0)


async def test_what_is_documented_is_there_and_the_other_way_round(server: Server) -> None:
    _, text = await scrape(server.port)
    there = {
        (f"{family.name}_total" if family.type == "counter" else family.name, family.type)
        for family in text_string_to_metric_families(text)
    }
    rows = re.findall(r"^\| `([a-z_]+)` \| ([a-z]+) \|", DOCUMENTED.read_text(), re.M)
    assert there == set(rows)
    assert len(rows) == len(there)


@pytest.mark.parametrize(
    "asked",
    [
        {"host": "deploy.example.com"},
        {"X_Forwarded_For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"X_Real_IP": "127.0.0.1"},
        {"Authorization": "Bearer anything"},
    ],
)
async def test_without_a_token_only_this_machine_itself_reads_it(
    server: Server, asked: dict[str, str]
) -> None:
    expected = 200 if "Authorization" in asked else 404
    assert (await scrape(server.port, **asked))[0] == expected
    assert (await scrape(server.port, host="localhost"))[0] == 200


@pytest.fixture
async def guarded(new_server: StartServer) -> AsyncIterator[Server]:
    async with new_server(METRICS_TOKEN=TOKEN) as server:
        yield server


async def test_with_a_token_whoever_has_it_reads_it(guarded: Server) -> None:
    port = guarded.port
    for given in ("", TOKEN, f"Bearer {TOKEN}x", "Bearer ", f"Basic {TOKEN}"):
        assert (await scrape(port, Authorization=given))[0] == 404
    assert (await scrape(port))[0] == 404
    through_a_proxy = {"host": "deploy.example.com", "X_Forwarded_For": "203.0.113.9"}
    assert (await scrape(port, Authorization=f"Bearer {TOKEN}", **through_a_proxy))[0] == 200
    request = (
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff\r\nConnection: close\r\n\r\n"
    )
    assert (await raw(port, request)).startswith(b"HTTP/1.1 404")


async def test_requests_files_builds_and_lines_are_counted(
    new_server: StartServer, git_server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The log's end is heard of, and so is the site's change, which is announced before it.
    monkeypatch.setattr(looks, "LOOK_S", 3600.0)
    slow = gate()
    url = await git_server.make_repo("counted", {"index.html": "<h1>counted</h1>"})
    async with new_server() as server, server.visitor() as user:
        await user.sign_up()
        project = await user.project(url, buildCommand=f"{slow} || echo built", outputDirectory=".")
        deployment_id = await user.deploy(project["projectID"])
        console = f"{user.origin}/api/deployments/{deployment_id}/logs/live"
        async with user.session.ws_connect(console, headers={"Origin": user.origin}) as socket:
            await socket.receive()
            assert value(await samples(server.port), "scalemesh_log_clients") == 1
            await open_gate(slow)
            async for _ in socket:
                pass
        await user.ended(deployment_id)
        first = await user.site(project["url"])
        await user.site(project["url"])
        etag = first.headers["ETag"]
        for _ in range(3):
            await user.site(project["url"], headers={"If-None-Match": etag})
        await user.site(project["url"], "/nothing")
        found = await samples(server.port)

    def of(name: str, **labels: str) -> Any:
        return value(found, f"scalemesh_{name}", **labels)

    assert of("http_requests_total", route="site", status="2xx") == 2
    assert of("http_requests_total", route="site", status="3xx") == 3
    assert of("http_requests_total", route="site", status="4xx") == 1
    assert of("http_requests_total", route="control", status="1xx") == 1
    assert of("http_request_duration_seconds_count", route="site") == 3, "three were prepared"
    assert of("http_request_duration_seconds_bucket", route="site", le="+Inf") == 3
    assert of("site_files_total", tier="hot") == 3
    assert of("site_files_total", tier="store") == 1
    assert of("http_response_bytes_total", route="site") > 6 * 100 + 2 * len(first.body)
    assert of("build_duration_seconds_count", outcome="ready") == 1
    assert of("build_duration_seconds_sum", outcome="ready") > 0
    assert of("log_lines_total") > 0
    assert of("log_clients") == of("builds_queued") == of("builds_running") == 0
    assert of("database_connections", state="idle") >= 1
    assert value(found, "process_resident_memory_bytes") > 1e6
