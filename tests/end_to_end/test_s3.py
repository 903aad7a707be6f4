"""The whole way with artifacts in S3: the builder writes to it, sites and logs are read from it."""

import pytest

from tests.artifacts.s3_server import S3Server
from tests.parts.git import GitServer
from tests.parts.server import StartServer


async def test_a_site_is_built_into_s3_and_served_from_it(
    new_server: StartServer, s3_server: S3Server, git_server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_access_key)
    page = "<title>From S3</title>" + "<p>again and again</p>" * 100
    url = await git_server.make_repo("into-s3", {"index.html": page, "404.html": "gone"})
    settings = {"S3_BUCKET": s3_server.bucket, "S3_ENDPOINT_URL": s3_server.endpoint_url}
    async with new_server(**settings) as server, server.visitor() as user:
        await user.sign_up()
        project = await user.project(url)
        deployment_id = await user.deploy(project["projectID"])
        ended = await user.ended(deployment_id)
        assert ended["status"] == "ready", await user.log(deployment_id)

        answer = await user.site(project["url"])
        assert (answer.status, answer.text) == (200, page)
        assert answer.headers["Vary"] == "Accept-Encoding"
        part = await user.site(project["url"], headers={"Range": "bytes=0-6"})
        assert (part.status, part.text) == (206, "<title>")
        assert (await user.site(project["url"], "/none")).text == "gone"
        assert "Published 2 files" in await user.log(deployment_id)

        again = await user.deploy(project["projectID"])
        assert (await user.ended(again))["status"] == "ready"
        assert "0 new blobs" in await user.log(again)
        assert (await user.get("/health")).json["checks"]["store"] == "ok"
        assert not (server.data_dir / "artifacts").exists()
