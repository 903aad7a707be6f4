"""ACCESS_LOG: each request once, prepared answers too, and nothing that is secret."""

import json
import logging
from typing import Any

import pytest

from scalemesh.logs import looks
from scalemesh.web import access_log
from tests.parts.git import GitServer
from tests.parts.server import StartServer, eventually


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.message) for record in caplog.records if record.name == access_log.logger.name]


async def test_every_request_has_a_line_without_secrets(
    new_server: StartServer,
    git_server: GitServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looks, "LOOK_S", 3600.0)
    caplog.set_level(logging.INFO, access_log.logger.name)
    url = await git_server.make_repo("logged", {"index.html": "<h1>logged</h1>"})
    async with new_server(ACCESS_LOG="full") as server, server.visitor() as user:
        await user.sign_up()
        project = await user.project(url)
        deployment_id = await user.deploy(project["projectID"])
        # Its end is announced after the site's change, which nothing that is prepared would outlive.
        await user.get(f"/api/deployments/{deployment_id}/logs?follow=1")
        host = project["url"].removeprefix("http://")
        caplog.clear()

        secret = {"Cookie": "a=secret", "Referer": "http://x/?secret", "User-Agent": "tests"}
        first = await user.site(project["url"], "/?token=secret", headers=secret)
        for _ in range(2):
            await user.site(
                project["url"], "/?token=secret", headers={**secret, "X-Request-ID": "from-a-proxy"}
            )
        health = await user.get("/health/live?token=secret")
        seen = await eventually(lambda: lines(caplog), lambda seen: len(seen) == 4)

        assert "secret" not in json.dumps(seen)
        assert {line["address"] for line in seen} == {user.address}
        sites, control = seen[:3], seen[3]
        assert {(line["method"], line["host"], line["path"]) for line in sites} == {("GET", host, "/")}
        assert {(line["status"], line["userAgent"]) for line in sites} == {(200, "tests")}
        assert [line["requestID"] for line in sites] == [None, "from-a-proxy", "from-a-proxy"]
        assert sites[1]["seconds"] == 0, "prepared"
        assert sites[0]["bytes"] == sites[1]["bytes"] > len(first.body)
        assert (control["path"], control["requestID"]) == ("/health/live", health.headers["X-Request-ID"])


async def test_headers_count_however_they_are_spelled(
    new_server: StartServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, access_log.logger.name)
    async with new_server(ACCESS_LOG="full") as server, server.visitor() as user:
        await user.get("/health/live", headers={"user-agent": "lower"})
        [line] = await eventually(lambda: lines(caplog), lambda seen: len(seen) == 1)
        assert (line["userAgent"], line["host"]) == ("lower", f"localhost:{server.port}")


@pytest.mark.parametrize(
    ("setting", "drawn", "expected"), [("off", 0, 0), ("sampled", 0, 3), ("sampled", 0.5, 0)]
)
async def test_without_full_few_or_none_have_one(
    new_server: StartServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    drawn: float,
    expected: int,
) -> None:
    caplog.set_level(logging.INFO, access_log.logger.name)
    monkeypatch.setattr("random.random", lambda: drawn)
    async with new_server(ACCESS_LOG=setting) as server, server.visitor() as visitor:
        for _ in range(3):
            await visitor.get("/health/live")
    assert len(lines(caplog)) == expected
