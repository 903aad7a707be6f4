"""A branch becomes a preview, and the preview what is live."""

from tests.parts.git import GitServer
from tests.parts.server import Client, eventually

HTML = {"Accept": "text/html"}
BUILD = (
    'mkdir dist; echo "$(cat page) ${ONLY_PREVIEW-none} ${ONLY_LIVE-none} $SCALEMESH_URL" > dist/index.html'
)


async def test_a_branch_is_previewed_with_its_variables_and_goes_live_when_promoted(
    user: Client, git_server: GitServer
) -> None:
    url = await git_server.make_repo("previewed", {"page": "main"})
    await git_server.commit("previewed", {"page": "feature"}, "Another page", branch="feature")
    env = {
        "ONLY_PREVIEW": {"value": "staging", "scopes": ["preview"]},
        "ONLY_LIVE": {"value": "real", "scopes": ["production"]},
    }
    project = await user.project(url, branch="main", buildCommand=BUILD, outputDirectory="dist", env=env)
    first = await user.ended(await user.deploy(project["projectID"]))
    assert (first["status"], first["target"]) == ("ready", "production"), await user.log(
        first["deploymentID"]
    )
    live = await user.site(project["url"])
    assert live.text == f"main none real {project['url']}\n"

    answer = await user.post("/deploy", {"projectID": project["projectID"], "ref": "feature"})
    assert answer.json["target"] == "preview"
    preview = await user.ended(answer.json["deploymentID"])

    assert (preview["status"], preview["target"]) == ("ready", "preview")
    page = await user.site(preview["url"])
    assert page.text == f"feature staging none {preview['url']}\n"
    assert page.headers["X-Robots-Tag"] == "noindex"
    assert (await user.site(project["url"])).body == live.body
    shown = await user.get(f"/deployments/{preview['deploymentID']}", headers=HTML)
    assert 'data-state="preview"' in shown.text

    promoted = await user.post(f"/api/deployments/{preview['deploymentID']}/promote")
    assert promoted.status == 200
    await eventually(lambda: user.site(project["url"]), lambda answer: answer.body == page.body)
    again = await user.ended(await user.deploy(project["projectID"]))
    assert again["status"] == "ready"
    # Announced through Redis, as to every other process.
    await eventually(lambda: user.site(project["url"]), lambda answer: answer.body == live.body)
