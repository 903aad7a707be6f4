"""A project's access token goes in and never comes out."""

import asyncpg
import pytest

from tests.parts.git import GitServer
from tests.parts.server import Client, StartServer

URL = "http://127.0.0.1:9/x.git"
TOKEN = "ghp-s3cr3t-t0ken"
SAVED = "Remove the saved token"


async def _has_token(user: Client, path: str) -> bool:
    page = await user.get(path.replace("/api", "") + "/settings")
    assert page.status == 200
    assert TOKEN not in page.text
    return SAVED in page.text


async def test_a_token_is_kept_encrypted_and_is_in_no_answer(new_server: StartServer, database: str) -> None:
    async with new_server() as server, server.visitor() as user:
        await user.sign_up()
        made = await user.post("/project", {"name": "private", "gitUrl": URL, "accessToken": TOKEN})
        assert made.status == 201
        path = f"/api/projects/{made.json['projectID']}"
        assert TOKEN not in made.text + (await user.get(path)).text
        assert "accessToken" not in made.text
        assert await _has_token(user, path)
        connection = await asyncpg.connect(database)
        rows = await connection.fetch("SELECT projects::text AS text, access_token_encrypted FROM projects")
        assert rows[0]["access_token_encrypted"]
        assert TOKEN not in rows[0]["text"]
        assert (await user.request("DELETE", path)).status == 204
        assert await connection.fetchval("SELECT access_token_encrypted FROM projects") is None
        await connection.close()


@pytest.mark.parametrize(
    ("changes", "stays"),
    [
        ({"branch": "main"}, True),
        ({"accessToken": ""}, True),
        ({"accessToken": "another"}, True),
        ({"accessToken": None}, False),
        ({"removeAccessToken": True}, False),
        ({"gitUrl": "http://127.0.0.1:9/y.git"}, True),
        ({"gitUrl": "http://127.0.0.1:10/x.git"}, False),
        ({"gitUrl": "https://127.0.0.1:9/x.git"}, False),
        ({"gitUrl": "http://127.0.0.1:10/x.git", "accessToken": ""}, False),
        ({"gitUrl": "http://127.0.0.1:10/x.git", "accessToken": "another"}, True),
    ],
)
async def test_a_token_stays_until_it_is_removed_or_the_host_changes(
    user: Client, changes: dict[str, object], stays: bool
) -> None:
    project = await user.project(URL, accessToken=TOKEN)
    path = f"/api/projects/{project['projectID']}"
    changed = await user.request("PATCH", path, json=changes)
    assert changed.status == 200, changed.text
    assert await _has_token(user, path) is stays


async def test_a_form_keeps_the_token_that_it_does_not_show(user: Client) -> None:
    project = await user.project(URL, accessToken=TOKEN)
    path = f"/api/projects/{project['projectID']}"
    fields = {"name": project["name"], "gitUrl": URL, "accessToken": ""}
    assert (await user.submit(path, **fields)).status == 303
    assert await _has_token(user, path)
    assert (await user.submit(path, **fields, removeAccessToken="1")).status == 303
    assert not await _has_token(user, path)


async def test_a_token_that_cannot_be_one_is_named_and_not_repeated(user: Client) -> None:
    answer = await user.post("/project", {"name": "x", "gitUrl": URL, "accessToken": "two words"})
    assert (answer.status, list(answer.json["fields"])) == (422, ["accessToken"])
    assert "two words" not in answer.text
    form = await user.submit("/project", name="x", gitUrl=URL, accessToken="two words")
    assert form.status == 422
    assert "two words" not in form.text


async def test_a_private_repository_is_deployed(
    user: Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("private")
    with GitServer.serve(directory, login=f"x-access-token:{TOKEN}") as private:
        url = await private.make_repo("site", {"index.html": "<title>Private</title>"})
        project = await user.project(url)
        refused = await user.ended(await user.deploy(project["projectID"]))
        assert "save an access token" in refused["error"]["hint"]

        path = f"/api/projects/{project['projectID']}"
        assert (await user.request("PATCH", path, json={"accessToken": TOKEN})).status == 200
        deployment_id = await user.deploy(project["projectID"])
        ended = await user.ended(deployment_id)
    assert ended["status"] == "ready", await user.log(deployment_id)
    assert TOKEN not in await user.log(deployment_id)
    assert "Private" in (await user.site(project["url"])).text
