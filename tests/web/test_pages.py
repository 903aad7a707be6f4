"""Pages and forms: what a browser without JavaScript does."""

import re

import pytest

from tests.parts.server import PASSWORD, Client

HTML = {"Accept": "text/html"}


async def test_the_start_page_is_for_visitors_and_the_list_for_users(visitor: Client) -> None:
    landing = await visitor.get("/", headers=HTML)
    assert landing.status == 200
    assert "/signup" in landing.text
    await visitor.sign_up()
    for path in ("/", "/projects"):
        assert "No project yet" in (await visitor.get(path, headers=HTML)).text


@pytest.mark.parametrize("path", ["/projects/new", "/account", "/projects/abc", "/deployments/abc"])
async def test_a_page_that_needs_an_account_leads_to_the_log_in_and_back(visitor: Client, path: str) -> None:
    answer = await visitor.get(path, headers=HTML)
    assert (answer.status, answer.headers["Location"]) == (303, f"/login?next={path}")
    login = await visitor.get(answer.headers["Location"], headers=HTML)
    assert f'name="next" value="{path}"' in login.text


async def test_signing_up_by_form_leads_to_the_projects(visitor: Client) -> None:
    answer = await visitor.submit("/user/signup", name="Ada", email="form@example.com", password=PASSWORD)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert (await visitor.get("/user/me")).json["email"] == "form@example.com"


async def test_a_wrong_form_comes_back_with_what_was_typed_and_what_is_wrong(visitor: Client) -> None:
    answer = await visitor.submit("/user/signup", name="Ada <b>", email="nope", password="hunter2")
    assert answer.status == 422
    assert "Give an email address" in answer.text
    assert 'value="Ada &lt;b&gt;"' in answer.text
    assert 'value="nope"' in answer.text
    assert "hunter2" not in answer.text
    login = await visitor.submit("/user/login", email="nope@example.com", password="hunter2hunter2")
    assert login.status == 401
    assert "The email or the password is wrong." in login.text


async def test_a_wrong_project_form_keeps_every_field(user: Client) -> None:
    typed = {"name": "Mine", "gitUrl": "file:///etc", "branch": "main", "env": "A=1\nPATH=x"}
    answer = await user.submit("/project", **typed)
    assert answer.status == 422
    for value in ("Mine", "file:///etc", "main", "A=1\nPATH=x"):
        assert value in answer.text
    assert "PATH belongs to the builder" in answer.text


async def test_saving_and_deploying_by_form_leads_to_the_deployment(user: Client) -> None:
    fields = {"name": "By form", "gitUrl": "http://127.0.0.1:9/x.git", "env": "A=1", "deploy": "1"}
    answer = await user.submit("/project", **fields)
    assert answer.status == 303, answer.text
    assert re.fullmatch(r"/deployments/[a-z0-9]{12}", answer.headers["Location"])
    page = await user.get(answer.headers["Location"], headers=HTML)
    assert page.status == 200
    assert "By form" in page.text


async def test_deleting_by_form_wants_the_name_typed(user: Client) -> None:
    project = await user.project("http://127.0.0.1:9/x.git")
    path = f"/api/projects/{project['projectID']}/delete"
    refused = await user.submit(path, confirm="something")
    assert refused.status == 422
    assert f"Type {project['slug']}" in refused.text
    assert (await user.submit(path, confirm=project["slug"])).headers["Location"] == "/"
    assert (await user.get(f"/projects/{project['projectID']}", headers=HTML)).status == 404


async def test_settings_by_form_are_saved_and_said_to_be(user: Client) -> None:
    project = await user.project("http://127.0.0.1:9/x.git")
    path = f"/api/projects/{project['projectID']}"
    saved = await user.submit(path, name="Other", gitUrl=project["gitUrl"], branch="dev", env="")
    assert saved.status == 303
    assert (await user.get(path)).json["branch"] == "dev"
    wrong = await user.submit(path, name="Other", gitUrl=project["gitUrl"], branch="a..b")
    assert wrong.status == 422
    assert 'value="a..b"' in wrong.text


async def test_every_page_forbids_foreign_scripts_and_frames(user: Client) -> None:
    for path in ("/", "/projects/new", "/account", "/nothing-here"):
        answer = await user.get(path, headers=HTML)
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "<script>" not in answer.text
        assert " style=" not in answer.text
        assert "Server" not in answer.headers


async def test_static_files_are_cached_under_an_address_of_their_content(visitor: Client) -> None:
    page = (await visitor.get("/", headers=HTML)).text
    css = re.search(r'href="(/static/[0-9a-f]{12}/app\.css)"', page)
    assert css is not None
    answer = await visitor.get(css[1])
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert (await visitor.get("/static/../scalemesh.py")).status == 404
    assert (await visitor.get(css[1].replace("app.css", "%2e%2e/%2e%2e/scalemesh.py"))).status in (403, 404)


async def test_an_unknown_address_is_told_to_a_person_and_to_a_program(visitor: Client) -> None:
    page = await visitor.get("/nothing-here", headers=HTML)
    assert page.status == 404
    assert "There is nothing at this address." in page.text
    program = await visitor.get("/nothing-here", headers={"Accept": "application/json"})
    assert (program.status, program.json["code"]) == (404, "not_found")
    wrong = await visitor.request("PUT", "/deploy", headers={"Origin": visitor.origin})
    assert (wrong.status, wrong.json["code"], wrong.headers["Allow"]) == (405, "method_not_allowed", "POST")


async def test_an_unknown_address_does_not_look_logged_out(user: Client) -> None:
    response = await user.get("/projects/new/typo", headers=HTML)
    assert response.status == 404
    assert "Log out" in response.text
    assert "Go to your projects" in response.text


async def test_a_form_that_comes_from_another_site_is_refused_with_a_page(user: Client) -> None:
    headers = {**HTML, "Origin": "http://elsewhere.example"}
    answer = await user.request("POST", "/project", data={"name": "Foreign"}, headers=headers)
    assert answer.status == 403
    assert "from another site" in answer.text
