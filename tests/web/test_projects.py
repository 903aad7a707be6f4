"""Projects through the API."""

import asyncio

import pytest

from tests.parts.server import Client, Server, StartServer

URL = "http://127.0.0.1:9/x.git"


async def test_a_project_has_the_documented_shape(user: Client) -> None:
    body = {
        "name": "My Site",
        "gitUrl": URL,
        "branch": "main",
        "rootDirectory": "./apps/web/",
        "buildCommand": "npm run build",
        "outputDirectory": "",
        "env": {"VITE_API": "https://api.example.com"},
    }
    async with asyncio.timeout(60):
        answer = await user.post("/project", body)
    assert answer.status == 201, answer.text
    project = answer.json
    assert project == {
        "projectID": project["projectID"],
        "name": "My Site",
        "slug": "my-site",
        "gitUrl": URL,
        "branch": "main",
        "rootDirectory": "apps/web",
        "installCommand": None,
        "buildCommand": "npm run build",
        "outputDirectory": None,
        "url": f"http://my-site.localhost:{user.port}",
        "production": None,
        "createdAt": project["createdAt"],
    }
    assert project["createdAt"].endswith("Z")
    assert (await user.get(f"/api/projects/{project['projectID']}")).json == project
    assert "api.example.com" not in answer.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gitUrl", "--upload-pack=x"),
        ("gitUrl", "https://u:tok@h.example/x"),
        ("gitUrl", 5),
        ("branch", "-x"),
        ("branch", "main\n"),
        ("rootDirectory", "../x"),
        ("outputDirectory", "/etc"),
        ("buildCommand", "a\nb"),
        ("installCommand", "x" * 2001),
        ("env", {"PATH": "x"}),
        ("env", {"A=B": "x"}),
        ("env", ["A"]),
        ("env", {"A": 1}),
        ("name", "www"),
        ("name", ""),
    ],
)
async def test_a_field_that_cannot_be_used_is_named_and_nothing_is_saved(
    user: Client, field: str, value: object
) -> None:
    answer = await user.post("/project", {"name": "x", "gitUrl": URL, field: value})
    assert (answer.status, list(answer.json["fields"])) == (422, [field]), answer.text
    assert (await user.get("/api/projects")).json["items"] == []


async def test_fifty_racers_for_one_address_make_one_project(server: Server, user: Client) -> None:
    answers = await asyncio.gather(
        *(user.post("/project", {"name": "Race for it", "gitUrl": URL}) for _ in range(50))
    )
    assert sorted(answer.status for answer in answers) == [201] + [409] * 49
    loser = next(answer for answer in answers if answer.status == 409)
    assert "race-for-it is taken" in loser.json["fields"]["name"]


async def test_an_address_is_never_handed_to_somebody_else(user: Client, stranger: Client) -> None:
    project = await user.project(URL, name="Mine for ever")
    assert (await user.request("DELETE", f"/api/projects/{project['projectID']}")).status == 204
    assert (await user.get(f"/api/projects/{project['projectID']}")).status == 404
    theirs = await stranger.post("/project", {"name": "Mine for ever", "gitUrl": URL})
    assert theirs.status == 409
    assert (await user.project(URL, name="Mine for ever"))["slug"] == "mine-for-ever"


async def test_a_projects_id_cannot_become_anothers_address(user: Client, stranger: Client) -> None:
    project = await user.project(URL)
    answer = await stranger.post("/project", {"name": project["projectID"], "gitUrl": URL})
    assert answer.status == 409


async def test_a_change_touches_only_what_it_names(user: Client) -> None:
    project = await user.project(URL, branch="main", buildCommand="make", env={"A": "1", "B": "2"})
    path = f"/api/projects/{project['projectID']}"
    changed = await user.request("PATCH", path, json={"branch": None, "env": {"A": None, "C": "3"}})
    assert changed.status == 200, changed.text
    assert changed.json == {**project, "branch": None}
    page = (await user.get(f"/projects/{project['projectID']}/settings")).text
    assert ">B<" in page
    assert ">C<" in page
    assert ">A<" not in page
    refused = await user.request("PATCH", path, json={"gitUrl": "file:///etc", "branch": "dev"})
    assert refused.status == 422
    assert (await user.get(path)).json == changed.json


async def test_lists_come_in_pages(new_server: StartServer) -> None:
    async with new_server() as server, server.visitor() as user:
        await user.sign_up()
        made = [(await user.project(URL))["projectID"] for _ in range(55)]
        first = (await user.get("/api/projects")).json
        rest = (await user.get(f"/api/projects?cursor={first['next']}")).json
        assert [item["projectID"] for item in first["items"] + rest["items"]] == made[::-1]
        assert (len(first["items"]), rest["next"]) == (50, None)
