"""A project's variables and their scopes, through the API and by form."""

import re

import pytest

from tests.parts.server import Client

URL = "http://127.0.0.1:9/x.git"


async def shown(user: Client, project_id: str) -> dict[str, str]:
    """What the settings say is saved: the chosen scope by name."""
    page = (await user.get(f"/projects/{project_id}/settings", headers={"Accept": "text/html"})).text
    assert "t0p-s3cret" not in page
    found = re.findall(r'<select id="envScope\.(\w+)".*?value="(\w+)" selected', page, re.DOTALL)
    return dict(found)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            {"value": "x", "scopes": []},
            'The scopes of API_URL are a list of "production", "preview" or both.',
        ),
        ({"value": "x", "scopes": ["prod"]}, 'The scopes of API_URL are a list of "production", "preview"'),
        ({"value": "x"}, 'Give API_URL as text, or as {"value": "…", "scopes": ["production"]}.'),
        ({"scopes": ["preview"]}, "API_URL has no value yet: give it one."),
        (7, "Give API_URL as text"),
    ],
)
async def test_a_wrong_scope_is_named_with_its_fix_and_nothing_is_saved(
    user: Client, said: object, sentence: str
) -> None:
    answer = await user.post("/project", {"name": "x", "gitUrl": URL, "env": {"API_URL": said}})
    assert (answer.status, list(answer.json["fields"])) == (422, ["env"])
    assert answer.json["fields"]["env"].startswith(sentence)
    assert (await user.get("/api/projects")).json["items"] == []


async def test_scopes_are_saved_changed_and_shown_without_a_value(user: Client) -> None:
    env = {"ALL": "t0p-s3cret", "LIVE": {"value": "t0p-s3cret", "scopes": ["production"]}}
    project_id = (await user.project(URL, env=env))["projectID"]
    assert await shown(user, project_id) == {"ALL": "all", "LIVE": "production"}
    changes = {
        "ALL": {"scopes": ["preview"]},
        "LIVE": {"value": "t0p-s3cret-2", "scopes": ["preview"]},
        "NEW": {"value": "1", "scopes": ["preview"]},
    }
    answer = await user.request("PATCH", f"/api/projects/{project_id}", json={"env": changes})
    assert answer.status == 200
    assert "t0p-s3cret" not in answer.text
    assert await shown(user, project_id) == {"ALL": "preview", "LIVE": "all", "NEW": "preview"}


async def test_a_form_sets_moves_and_removes_variables(user: Client) -> None:
    project = await user.project(URL, env={"A": "1", "B": "2", "C": "3"})
    path = f"/api/projects/{project['projectID']}"
    form = {"name": project["name"], "gitUrl": URL}
    kept = {"envScope.A": "preview", "envScope.B": "none", "envScope.C": "all"}
    saved = await user.submit(path, **form, **kept, env="D=4", envScope="production")
    assert saved.status == 303, saved.text
    expected = {"A": "preview", "C": "all", "D": "production"}
    assert await shown(user, project["projectID"]) == expected

    wrong = await user.submit(path, **form, **{"envScope.C": "preview"}, env="D", envScope="preview")
    assert wrong.status == 422
    assert "NAME=value" in wrong.text
    typed = re.search(r'<select id="envScope\.C".*?value="(\w+)" selected', wrong.text, re.DOTALL)
    assert typed is not None
    assert typed[1] == "preview"
    assert await shown(user, project["projectID"]) == expected


async def test_a_form_has_room_for_as_many_variables_as_a_project(user: Client) -> None:
    names = [f"A{n}" for n in range(64)]
    project = await user.project(URL, env=dict.fromkeys(names, "1"))
    kept = {f"envScope.{name}": "production" for name in names}
    path = f"/api/projects/{project['projectID']}"
    saved = await user.submit(path, name=project["name"], gitUrl=URL, env="", envScope="all", **kept)
    assert saved.status == 303, saved.text
    assert set((await shown(user, project["projectID"])).values()) == {"production"}
