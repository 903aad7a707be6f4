"""Somebody else's project or deployment is answered like one that never was, on every route there is."""

import pytest

from scalemesh.web.routes import ROUTES
from tests.parts.server import Answer, Client

# Straight from the route table: a new route is in this test by itself.
OWNED = [
    (route.method, route.path)
    for route in ROUTES
    if "{projectID}" in route.path or "{deploymentID}" in route.path
]
NEVER = "zzzzzzzzzzzz"
JSON = {"Accept": "application/json"}
# A WebSocket is refused before it is upgraded, with the answer of any other request.
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


async def ask(client: Client, method: str, path: str, project_id: str, deployment_id: str) -> Answer:
    path = path.replace("{projectID}", project_id).replace("{deploymentID}", deployment_id)
    headers = {**JSON, "Origin": client.origin, "X-Request-ID": "ownership-test"}
    if path.endswith("/live"):
        return await client.request(method, path, headers={**headers, **UPGRADE})
    body: dict[str, str] | None = {} if method in ("POST", "PATCH") else None
    return await client.request(method, path, json=body, headers=headers)


@pytest.mark.parametrize(("method", "path"), OWNED)
async def test_a_strangers_answer_is_that_of_an_id_that_never_was(
    user: Client, stranger: Client, method: str, path: str
) -> None:
    project = await user.project("http://127.0.0.1:9/none.git")
    deployment_id = await user.deploy(project["projectID"])

    theirs = await ask(stranger, method, path, project["projectID"], deployment_id)
    never = await ask(stranger, method, path, NEVER, NEVER)

    assert theirs.status == 404
    assert theirs.body == never.body
    assert (await user.get(f"/api/projects/{project['projectID']}")).status == 200
    assert (await user.get(f"/api/deployments/{deployment_id}")).json["status"] != "canceled"


@pytest.mark.parametrize(("method", "path"), OWNED)
async def test_nobody_gets_a_401(visitor: Client, method: str, path: str) -> None:
    answer = await ask(visitor, method, path, NEVER, NEVER)
    assert (answer.status, answer.json["code"]) == (401, "not_logged_in")


async def test_a_stranger_cannot_deploy_it(user: Client, stranger: Client) -> None:
    project = await user.project("http://127.0.0.1:9/none.git")
    theirs = await stranger.post(
        "/deploy", {"projectID": project["projectID"]}, headers={"X-Request-ID": "x" * 8}
    )
    never = await stranger.post("/deploy", {"projectID": NEVER}, headers={"X-Request-ID": "x" * 8})
    assert (theirs.status, theirs.body) == (404, never.body)
    deployments = await user.get(f"/api/projects/{project['projectID']}/deployments")
    assert deployments.json == {"items": [], "next": None}


async def test_lists_hold_only_ones_own(user: Client, stranger: Client) -> None:
    project = await user.project("http://127.0.0.1:9/none.git")
    assert [item["projectID"] for item in (await user.get("/api/projects")).json["items"]] == [
        project["projectID"]
    ]
    assert (await stranger.get("/api/projects")).json["items"] == []
    assert (await stranger.get(f"/api/projects?cursor={project['projectID']}")).json["items"] == []


@pytest.mark.parametrize("bad", ["%00", "..%2f", "A", "x" * 41, "%F0%9F%98%80", "a b"])
async def test_what_cannot_be_an_id_is_answered_like_one_that_never_was(user: Client, bad: str) -> None:
    for path in ("/api/projects/", "/api/deployments/"):
        answer = await user.get(path + bad, headers=JSON)
        assert answer.status in (400, 404)
        assert (await user.get(path + NEVER, headers=JSON)).status == 404
