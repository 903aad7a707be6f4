"""What visitors of a site in use see when something changes, at a server that had no part in it."""

import pytest

from scalemesh.sites import routes
from tests.parts.git import GitServer
from tests.parts.server import StartServer, eventually


async def test_every_server_shows_at_once_what_is_live(
    new_server: StartServer, git_server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only an announcement can do it.
    monkeypatch.setattr(routes, "TTL_S", 3600)
    monkeypatch.setattr(routes, "HEARD_TTL_S", 3600)
    url = await git_server.make_repo("goes-live", {"index.html": "one"})
    async with (
        new_server() as server,
        new_server() as other,
        server.visitor() as user,
        other.visitor() as visitor,
    ):
        await user.sign_up()
        project = await user.project(url)

        async def shown() -> tuple[int, str]:
            answer = await visitor.site(project["url"])
            return answer.status, answer.text if answer.status == 200 else ""

        assert await shown() == (404, "")
        first = await user.deploy(project["projectID"])
        await user.ended(first)
        await eventually(shown, lambda seen: seen == (200, "one"))

        await git_server.commit("goes-live", {"index.html": "two"}, "Two")
        await user.ended(await user.deploy(project["projectID"]))
        await eventually(shown, lambda seen: seen == (200, "two"))

        await user.post(f"/api/deployments/{first}/promote")
        await eventually(shown, lambda seen: seen == (200, "one"))

        await user.request("DELETE", f"/api/projects/{project['projectID']}")
        await eventually(shown, lambda seen: seen == (404, ""))
