"""What a repository says in ``_redirects`` and ``_headers`` is in the log, and in force."""

from tests.parts.git import GitServer
from tests.parts.server import Client

REDIRECTS = """\
# moved
/old        /page           302
/api/*      https://api.example.com/:splat  200
/de/*       /german/:splat  302  Country=de
/app/*      /app.html       200
"""
HEADERS = """\
/*
  X-Frame-Options: DENY
  Set-Cookie: a=b
/page
  ! X-Frame-Options
  Cache-Control: max-age=60
"""


async def test_the_rules_of_a_repository_are_reported_and_in_force(
    user: Client, git_server: GitServer
) -> None:
    files = {"index.html": "home", "page.html": "page", "app.html": "app"}
    url = await git_server.make_repo("ruled", {**files, "_redirects": REDIRECTS, "_headers": HEADERS})
    project = await user.project(url)
    deployment_id = await user.deploy(project["projectID"])
    ended = await user.ended(deployment_id)
    log = await user.log(deployment_id)

    assert (ended["status"], ended["files"]) == ("ready", 3), log
    assert '_redirects, line 3: skipped, as "https://api.example.com/:splat" is another host' in log
    assert '_redirects, line 4: skipped, as the condition "Country=de" is not evaluated here' in log
    assert "_headers, line 3: skipped, as Set-Cookie would be kept by caches" in log
    assert "2 redirects, 2 header blocks." in log

    async def get(path: str) -> tuple[int, str, str | None, str | None]:
        answer = await user.site(project["url"], path)
        return (
            answer.status,
            answer.headers.get("Location", answer.text),
            answer.headers.get("X-Frame-Options"),
            answer.headers.get("Cache-Control"),
        )

    revalidate = "public, max-age=0, must-revalidate"
    assert await get("/") == (200, "home", "DENY", revalidate)
    assert await get("/page") == (200, "page", None, "max-age=60")
    assert await get("/old?x=1") == (302, "/page?x=1", "DENY", revalidate)
    assert await get("/app/users/7") == (200, "app", "DENY", revalidate)
    assert (await get("/de/x"))[0] == 404
    assert (await get("/_redirects"))[0] == 404
