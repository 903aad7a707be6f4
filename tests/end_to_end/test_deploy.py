"""The main job: a repository becomes a site."""

from tests.parts.git import GitServer
from tests.parts.server import Client


async def test_a_repository_becomes_a_site_at_both_of_its_addresses(
    user: Client, git_server: GitServer
) -> None:
    url = await git_server.make_repo(
        "becomes-a-site", {"index.html": "<title>One</title>", "style.css": "body { color: red }"}
    )
    project = await user.project(url)
    deployment_id = await user.deploy(project["projectID"])

    ended = await user.ended(deployment_id)

    assert ended["status"] == "ready", await user.log(deployment_id)
    assert ended["files"] == 2
    by_slug = await user.site(project["url"])
    by_id = await user.site(project["url"].replace(project["slug"], project["projectID"]))
    assert (by_slug.status, by_slug.text) == (200, "<title>One</title>")
    assert by_id.body == by_slug.body
    preview = await user.site(ended["url"])
    assert preview.body == by_slug.body
    assert preview.headers["X-Robots-Tag"] == "noindex"
