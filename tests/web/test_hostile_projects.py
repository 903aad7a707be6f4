"""What hostile fields of a project get from a server as it is by default."""

import re

import pytest

from tests.parts.server import Client, StartServer

PUBLIC = "https://git.example.com/x.git"
URLS = (
    "--upload-pack=x", "ext::sh -c x", "file:///etc", "ssh://-oProxyCommand=x/y", "git@h:-x",
    "https://u:s3cret@h/x", "https://h.example/x\ny", "https://h.example/x\ty",
    "https://h.example/" + "x" * 2048,
    "http://127.1/", "http://0x7f000001/", "http://2130706433/", "http://[::1]/",
    "http://[::ffff:169.254.169.254]/", "http://169.254.170.2/", "http://metadata.google.internal/",
    "https://127.1/x", "https://[::1]/x", "https://[64:ff9b::a9fe:a9fe]/x", "https://224.0.0.1/x",
    "https://metadata.google.internal/x", "https://github.com\\@evil/x", "https://github.com:22/x",
    "https://github.com:6379/x",
)  # fmt: skip
BRANCHES = ("-x", "a..b", "x.lock", "@{-1}", "main\n", "a;b", "$(x)")


async def test_no_address_but_a_public_repositorys_is_saved(new_server: StartServer) -> None:
    async with new_server(ALLOW_LOCAL_REPOS=False) as server, server.visitor() as user:
        await user.sign_up()
        project = await user.project(PUBLIC)
        path = f"/api/projects/{project['projectID']}"
        for url in URLS:
            made = await user.post("/project", {"name": "x", "gitUrl": url})
            changed = await user.request("PATCH", path, json={"gitUrl": url})
            for answer in (made, changed):
                assert (answer.status, list(answer.json["fields"])) == (422, ["gitUrl"]), url
                assert "s3cret" not in answer.json["fields"]["gitUrl"]
        assert (await user.get("/api/projects")).json["items"] == [project]


async def test_no_branch_but_a_plain_name_is_saved_or_deployed(user: Client) -> None:
    project = await user.project(PUBLIC)
    for branch in BRANCHES:
        made = await user.post("/project", {"name": "x", "gitUrl": PUBLIC, "branch": branch})
        assert (made.status, list(made.json["fields"])) == (422, ["branch"]), branch
        deployed = await user.post("/deploy", {"projectID": project["projectID"], "ref": branch})
        assert (deployed.status, list(deployed.json["fields"])) == (422, ["ref"]), branch
    assert (await user.get("/api/projects")).json["items"] == [project]


@pytest.mark.parametrize("name", ["xn--80ak6aa92e", "a--b", "x" * 64, "а", "-_-"])
async def test_a_hostile_name_makes_a_safe_address_of_our_own(user: Client, name: str) -> None:
    made = await user.post("/project", {"name": name, "gitUrl": PUBLIC})
    assert made.status == 201, made.text
    assert re.fullmatch(r"[a-z0-9](?:[a-z0-9]|-(?!-)){0,47}", made.json["slug"])


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "A=B"])
async def test_a_variable_that_would_choose_a_program_is_refused(user: Client, name: str) -> None:
    answer = await user.post("/project", {"name": "x", "gitUrl": PUBLIC, "env": {name: "x"}})
    assert (answer.status, list(answer.json["fields"])) == (422, ["env"])
    assert name in answer.json["fields"]["env"]
