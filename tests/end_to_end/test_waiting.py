"""What somebody who waits is told, through the API and on the page."""

from tests.parts.git import GitServer
from tests.parts.server import Client, StartServer, eventually


async def test_a_queued_deployment_says_its_place_and_why(
    new_server: StartServer, git_server: GitServer
) -> None:
    url = await git_server.make_repo("waiting", {"index.html": "<h1>hi</h1>"})
    async with new_server(BUILDS_PER_USER=1) as server, server.visitor() as user:
        await user.sign_up()
        slow = await user.project(url, buildCommand="sleep 9999")
        first = await user.deploy(slow["projectID"])
        await eventually(lambda: status(user, first), lambda seen: seen == "building")
        second = await user.deploy(slow["projectID"])
        other = await user.deploy((await user.project(url))["projectID"])

        assert (await user.deployment(first))["waiting"] is None
        assert (await user.deployment(second))["waiting"] == {
            "position": 1,
            "because": "Another build of this project is running.",
        }
        assert (await user.deployment(other))["waiting"] == {
            "position": 2,
            "because": "You have 1 running already, as many as one user may.",
        }
        page = await user.get(f"/deployments/{other}", headers={"Accept": "text/html"})
        assert "You have 1 running already, as many as one user may. Number 2 in the line." in page.text

        newest = await user.deploy(slow["projectID"])
        assert (await user.deployment(second))["status"] == "superseded"
        for deployment_id in (newest, other, first):
            assert (await user.post(f"/api/deployments/{deployment_id}/cancel")).status == 202
        assert (await user.ended(first, within_s=60))["status"] == "canceled"


async def status(user: Client, deployment_id: str) -> str:
    return str((await user.deployment(deployment_id))["status"])
