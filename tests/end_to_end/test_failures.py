"""Builds that can't succeed, and builds that are stopped: the reason is told, the live site stays."""

import gzip
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.parts.git import GitServer
from tests.parts.processes import processes_with
from tests.parts.server import Answer, Client, Server, eventually


@dataclass(frozen=True, slots=True)
class LiveSite:
    """A project whose first deployment is live."""

    user: Client
    project: dict[str, Any]
    page: Answer

    async def change(self, **fields: str) -> None:
        answer = await self.user.request("PATCH", f"/api/projects/{self.project['projectID']}", json=fields)
        assert answer.status == 200, answer.text

    async def deploy(self) -> str:
        return await self.user.deploy(self.project["projectID"])

    async def assert_unchanged(self) -> None:
        page = await self.user.site(self.project["url"])
        assert (page.status, page.body, page.headers["ETag"]) == (
            200,
            self.page.body,
            self.page.headers["ETag"],
        )


@pytest.fixture
async def site(user: Client, git_server: GitServer) -> AsyncIterator[LiveSite]:
    url = await git_server.make_repo(f"live-{secrets.token_hex(6)}", {"index.html": "<h1>Live</h1>"})
    project = await user.project(url)
    ended = await user.ended(await user.deploy(project["projectID"]))
    assert ended["status"] == "ready", await user.log(ended["deploymentID"])
    yield LiveSite(user, project, await user.site(project["url"]))
    await user.request("DELETE", f"/api/projects/{project['projectID']}")


@pytest.mark.parametrize(
    ("fields", "code", "named"),
    [
        ({"gitUrl": "missing"}, "repository_not_found", "missing.git"),
        ({"gitUrl": "empty"}, "repository_empty", "no commit"),
        ({"branch": "no-such-branch"}, "branch_not_found", "no-such-branch"),
        ({"installCommand": "echo installing; exit 7"}, "install_failed", "exit 7"),
        ({"buildCommand": "echo building; exit 9"}, "build_failed", "exit 9"),
        ({"buildCommand": "true", "outputDirectory": "dist"}, "output_missing", "dist"),
        ({"buildCommand": "mkdir dist", "outputDirectory": "dist"}, "output_empty", "no file"),
        ({"buildCommand": "mkdir dist; ln -s /etc/passwd dist/leak"}, "artifact_rejected", "leak"),
        ({"buildCommand": "mkdir dist; truncate -s 26M dist/big"}, "limit_file_bytes", "26,214,400"),
        (
            {"buildCommand": "mkdir dist; for n in $(seq 41); do truncate -s 25M dist/$n; done"},
            "limit_site_bytes",
            "1,073,741,824",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_a_build_that_cannot_succeed_says_why_and_the_live_site_stays(
    site: LiveSite, git_server: GitServer, fields: dict[str, str], code: str, named: str
) -> None:
    if "gitUrl" in fields:
        name = f"{secrets.token_hex(6)}-{fields['gitUrl']}"
        fields = {"gitUrl": git_server.url(name)}
        if code == "repository_empty":
            await git_server.make_repo(name, {})
    await site.change(**fields)
    deployment_id = await site.deploy()

    ended = await site.user.ended(deployment_id)

    assert (ended["status"], ended["attempt"]) == ("failed", 1)
    assert ended["finishedAt"] is not None
    error = ended["error"]
    assert error["code"] == code, await site.user.log(deployment_id)
    assert named in error["message"]
    assert error["hint"]
    lines = await _lines(site.user, deployment_id)
    assert lines[-1]["text"] == f"{error['message']} {error['hint']}"
    assert (await site.user.get(f"/api/projects/{site.project['projectID']}")).json["production"][
        "number"
    ] == 1
    await site.assert_unchanged()


async def test_a_queued_deployment_is_canceled_at_once_and_never_built(site: LiveSite) -> None:
    await site.change(buildCommand="echo started; sleep 9999")
    running = await site.deploy()
    await _prints(site.user, running, "started")
    queued = await site.deploy()

    answer = await site.user.post(f"/api/deployments/{queued}/cancel")

    assert (answer.status, answer.json["status"]) == (202, "canceled")
    await site.user.post(f"/api/deployments/{running}/cancel")
    await site.user.ended(running)
    after = await site.user.deployment(queued)
    assert (after["status"], after["attempt"], after["startedAt"]) == ("canceled", 0, None)
    assert (await site.user.post(f"/api/deployments/{queued}/cancel")).status == 409
    await site.assert_unchanged()


async def test_a_running_build_is_canceled_within_seconds_and_nothing_of_it_is_left(site: LiveSite) -> None:
    number = str(secrets.randbelow(10**9) + 10**9)
    command = f"trap '' TERM; (setsid sleep {number} &); echo started; sleep {number}"
    await site.change(buildCommand=command)
    deployment_id = await site.deploy()
    await _prints(site.user, deployment_id, "started")
    assert processes_with(f"sleep {number}")

    answer = await site.user.post(f"/api/deployments/{deployment_id}/cancel")

    assert (answer.status, answer.json["status"]) == (202, "building")
    ended = await site.user.ended(deployment_id)
    assert (ended["status"], ended["error"]) == ("canceled", None)
    assert processes_with(number) == []
    assert "canceled" in (await _lines(site.user, deployment_id))[-1]["text"]
    await site.assert_unchanged()


async def test_deleting_a_project_ends_its_build_and_its_site(site: LiveSite) -> None:
    number = str(secrets.randbelow(10**9) + 10**9)
    await site.change(buildCommand=f"echo started; sleep {number}")
    deployment_id = await site.deploy()
    await _prints(site.user, deployment_id, "started")

    answer = await site.user.request("DELETE", f"/api/projects/{site.project['projectID']}")

    assert answer.status == 204
    # Announced through Redis, as to every other process.
    await eventually(lambda: site.user.site(site.project["url"]), lambda answer: answer.status == 404)
    await eventually(lambda: processes_with(number), lambda found: not found)
    assert (await site.user.get(f"/api/deployments/{deployment_id}")).status == 404


async def test_two_deploys_of_one_project_run_one_after_another(site: LiveSite) -> None:
    await site.change(buildCommand="sleep 0.3")
    first = await site.deploy()
    await eventually(lambda: site.user.deployment(first), lambda seen: seen["status"] != "queued")
    second = await site.deploy()
    ended = [await site.user.ended(first), await site.user.ended(second)]
    ended.sort(key=lambda deployment: int(deployment["number"]))
    assert [deployment["status"] for deployment in ended] == ["ready", "ready"]
    assert ended[0]["finishedAt"] <= ended[1]["startedAt"]
    project = (await site.user.get(f"/api/projects/{site.project['projectID']}")).json
    assert project["production"]["number"] == 3


async def test_a_private_value_appears_nowhere(user: Client, git_server: GitServer, server: Server) -> None:
    secret = f"s3cret-{secrets.token_hex(8)}"
    url = await git_server.make_repo(f"private-{secrets.token_hex(6)}", {"index.html": "hi"})
    command = f'echo "is $TOKEN"; printf %s "{secret[:9]}"; sleep 0.2; echo "{secret[9:]}"; exit 1 # {secret}'
    project = await user.project(url, env={"TOKEN": secret}, buildCommand=command)
    deployment_id = await user.deploy(project["projectID"])

    ended = await user.ended(deployment_id)

    assert ended["error"]["code"] == "build_failed"
    log = await user.log(deployment_id)
    assert "is ***" in log
    record = server.data_dir / "artifacts/__output" / project["projectID"] / deployment_id / "build.log.gz"
    events = await user.get(f"/api/deployments/{deployment_id}/logs")
    for text in (log, events.text, json.dumps(ended), gzip.decompress(record.read_bytes()).decode()):
        assert secret not in text


async def _lines(user: Client, deployment_id: str) -> list[dict[str, Any]]:
    answer = await user.get(f"/api/deployments/{deployment_id}/logs")
    events = [json.loads(row) for row in answer.text.splitlines()]
    return [event for event in events if event["type"] == "line"]


async def _prints(user: Client, deployment_id: str, text: str) -> None:
    """Waits until the build's own command has printed ``text`` on a line of its own."""
    await eventually(
        lambda: _lines(user, deployment_id),
        lambda lines: any(line["text"] == text and line["stream"] == "stdout" for line in lines),
    )
