"""The builder from end to end: a real repository over HTTP, a real process, a real store."""

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import brotli
import pytest

from tests.artifacts.s3_server import S3Server
from tests.builder.running import DEPLOYMENT, PROJECT, Builder
from tests.parts.git import GitServer

PAGE = "<!doctype html><title>Hello</title>" + "<p>The same words again and again.</p>" * 40
SCRIPT_PACKAGE = json.dumps({"name": "site", "scripts": {"build": "sh build.sh"}})


async def test_a_plain_html_repository_becomes_a_manifest_and_its_blobs(
    builder: Builder, git_server: GitServer
) -> None:
    url = await git_server.make_repo(
        "plain",
        {
            "index.html": PAGE,
            "404.html": "nothing here",
            "assets/app.3f9a1b2c.js": "export const a = 1;\n",
            ".well-known/security.txt": "Contact: mailto:a@example.com",
            ".env": "SECRET=1",
            "node_modules/left/index.js": "left",
            "_redirects": "/a /b\n/c\n/d /e 200! # here",
            "_headers": "/*\n  X-One: 1\n  ! X-Two",
        },
    )
    built = await builder.run(url)
    assert built.exit == 0, built.errors
    manifest = built.manifest
    assert manifest is not None
    assert list(manifest["files"]) == [
        "/.well-known/security.txt",
        "/404.html",
        "/assets/app.3f9a1b2c.js",
        "/index.html",
    ]
    index = manifest["files"]["/index.html"]
    assert index["type"] == "text/html; charset=utf-8"
    assert index["bytes"] == len(PAGE)
    assert index["sha256"] == hashlib.sha256(PAGE.encode()).hexdigest()
    assert not index["fingerprinted"]
    assert manifest["files"]["/assets/app.3f9a1b2c.js"]["fingerprinted"]
    assert built.blob(index["sha256"]).decode() == PAGE
    assert brotli.decompress(built.blob(index["encodings"]["br"]["sha256"])).decode() == PAGE
    assert gzip.decompress(built.blob(index["encodings"]["gzip"]["sha256"])).decode() == PAGE
    assert manifest["files"]["/404.html"]["encodings"] == {}
    assert {name: manifest[name] for name in ("version", "projectID", "deploymentID", "framework")} == {
        "version": 1,
        "projectID": PROJECT,
        "deploymentID": DEPLOYMENT,
        "framework": "static",
    }
    assert manifest["notFound"] == "/404.html"
    assert manifest["spa"] is False
    assert manifest["redirects"] == [
        {"from": "/a", "query": {}, "to": "/b", "status": 301, "force": False},
        {"from": "/d", "query": {}, "to": "/e", "status": 200, "force": True},
    ]
    assert manifest["headers"] == [{"path": "/*", "remove": ["X-Two"], "set": {"X-One": "1"}}]
    assert [record["text"] for record in built.records[:-1] if record["phase"] == "collect"][1:] == [
        '_redirects, line 2: skipped, as "/c" has no target.',
        "_redirects, line 3: the site has no file for /e, so this rule does nothing.",
        "2 redirects, 1 header block.",
    ]


async def test_the_log_object_ends_with_the_result(builder: Builder, git_server: GitServer) -> None:
    url = await git_server.make_repo("logged", {})
    commit = await git_server.commit("logged", {"index.html": PAGE}, "First commit")
    built = await builder.run(url, LOG_FIRST_SEQ="41", ATTEMPT="2")
    lines = built.records[:-1]
    assert [line["seq"] for line in lines] == list(range(41, 41 + len(lines)))
    assert {line["stream"] for line in lines} == {"system"}
    assert built.result == {
        "type": "result",
        "attempt": 2,
        "exit": 0,
        "commit": commit,
        "commitMessage": "First commit",
        "framework": "static",
        "files": 1,
        "bytes": len(PAGE),
        "error": None,
    }


async def test_an_attempt_that_comes_late_leaves_the_later_ones_site_and_log(
    builder: Builder, git_server: GitServer
) -> None:
    url = await git_server.make_repo("late", {"index.html": PAGE})
    await builder.run(url, ATTEMPT="2")
    left = builder.artifacts / "__output" / PROJECT / DEPLOYMENT
    later = {path.name: path.read_bytes() for path in left.iterdir()}
    assert set(later) == {"manifest-2.json", "build-2.log.gz"}
    await git_server.commit("late", {"index.html": "Something else."}, "Second commit")
    await builder.run(url)
    assert {name: (left / name).read_bytes() for name in later} == later
    assert (
        json.loads((left / "manifest.json").read_bytes())["files"]
        != json.loads(later["manifest-2.json"])["files"]
    )


async def test_a_second_build_uploads_only_what_is_new(builder: Builder, git_server: GitServer) -> None:
    url = await git_server.make_repo("again", {"index.html": PAGE, "a.txt": "a"})
    await builder.run(url)
    await git_server.commit("again", {"b.txt": "b"}, "Second commit")
    built = await builder.run(url)
    assert "1 new blob, 1 byte uploaded." in built.text


@pytest.mark.parametrize("by", ["branch", "sha"])
async def test_a_ref_is_a_branch_or_a_commit(builder: Builder, git_server: GitServer, by: str) -> None:
    url = await git_server.make_repo(f"ref-{by}", {"index.html": "main"})
    sha = await git_server.commit(f"ref-{by}", {"index.html": "other"}, "Other", branch="feature/x")
    built = await builder.run(url, GIT_REF="feature/x" if by == "branch" else sha)
    assert built.result["commit"] == sha
    assert built.manifest is not None
    assert built.manifest["files"]["/index.html"]["sha256"] == hashlib.sha256(b"other").hexdigest()


async def test_a_root_directory_is_built_alone(builder: Builder, git_server: GitServer) -> None:
    url = await git_server.make_repo("nested", {"index.html": "outer", "sites/a/index.html": "inner"})
    built = await builder.run(url, ROOT_DIRECTORY="sites/a")
    assert built.manifest is not None
    assert list(built.manifest["files"]) == ["/index.html"]
    assert built.result["bytes"] == len("inner")


async def test_a_build_script_runs_with_the_projects_environment(
    builder: Builder, git_server: GitServer
) -> None:
    script = 'mkdir dist && printf "%s %s %s" "$GREETING" "$CI" "$SCALEMESH_BRANCH" > dist/index.html'
    url = await git_server.make_repo("script", {"package.json": SCRIPT_PACKAGE, "build.sh": script})
    built = await builder.run(url, INSTALL_COMMAND="true", BUILD_ENV=json.dumps({"GREETING": "it's $HOME"}))
    assert built.exit == 0, built.text
    assert built.manifest is not None
    content = built.blob(built.manifest["files"]["/index.html"]["sha256"])
    assert content == b"it's $HOME true main"
    assert built.result["framework"] == "node"


FAILURES = {
    "a build that fails": ({"package.json": SCRIPT_PACKAGE, "build.sh": "exit 7"}, {}, 1, "build_failed"),
    "an install that fails": (
        {"package.json": SCRIPT_PACKAGE},
        {"INSTALL_COMMAND": "false"},
        1,
        "install_failed",
    ),
    "a branch that is not there": ({"index.html": "a"}, {"GIT_REF": "nowhere"}, 1, "branch_not_found"),
    "a commit that is not there": ({"index.html": "a"}, {"GIT_REF": "a" * 40}, 1, "branch_not_found"),
    "an empty repository": ({}, {}, 1, "repository_empty"),
    "no such root directory": ({"index.html": "a"}, {"ROOT_DIRECTORY": "app"}, 1, "root_directory_missing"),
    "no output": ({"package.json": SCRIPT_PACKAGE, "build.sh": "true"}, {}, 1, "output_missing"),
    "no export of Next.js": (
        {"package.json": json.dumps({"dependencies": {"next": "15"}, "scripts": {"build": "true"}})},
        {},
        1,
        "next_export_missing",
    ),
    "only dot files": ({".gitignore": "a"}, {}, 1, "output_empty"),
    "a broken package.json": ({"package.json": "{"}, {}, 1, "package_json_invalid"),
    "a file over the limit": ({"index.html": "a" * 101}, {"MAX_FILE_BYTES": "100"}, 1, "limit_file_bytes"),
    "too many files": ({"a.html": "a", "b.html": "b"}, {"MAX_FILES": "1"}, 1, "limit_files"),
    "a site over the limit": ({"a.html": "a", "b.html": "b"}, {"MAX_SITE_BYTES": "1"}, 1, "limit_site_bytes"),
    "a repository over the limit": (
        {"a.html": "a" * 5000},
        {"MAX_REPO_BYTES": "4000"},
        1,
        "limit_repository_bytes",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_is_told_and_publishes_nothing(
    builder: Builder, git_server: GitServer, name: str
) -> None:
    files, env, status, code = FAILURES[name]
    url = await git_server.make_repo(name.replace(" ", "-"), files)
    built = await builder.run(url, **({"INSTALL_COMMAND": "true"} | env))
    assert (built.exit, built.code) == (status, code), built.text
    assert built.manifest is None
    error = built.result["error"]
    assert built.records[-2]["text"] == f"{error['message']} {error['hint']}"


async def test_a_missing_repository_may_be_private(builder: Builder, git_server: GitServer) -> None:
    built = await builder.run(git_server.url("never-made"))
    assert (built.exit, built.code) == (1, "repository_not_found")
    assert "private" in built.text


async def test_a_local_address_is_refused(builder: Builder, git_server: GitServer) -> None:
    url = await git_server.make_repo("refused", {"index.html": "a"})
    built = await builder.run(url, ALLOW_LOCAL_REPOS="0")
    assert (built.exit, built.code) == (2, "repository_refused")


async def test_every_mistake_of_the_environment_is_told_at_once(builder: Builder) -> None:
    built = await builder.run("https://example.com/a/b", GIT_REF="-x", MAX_FILES="many", projectID="../x")
    assert built.exit == 2
    assert all(name in built.errors for name in ("GIT_REF", "MAX_FILES", "projectID"))


async def test_a_workspace_is_gone_after_the_build(
    builder: Builder, git_server: GitServer, tmp_path: Path
) -> None:
    url = await git_server.make_repo(
        "tidy", {"package.json": SCRIPT_PACKAGE, "build.sh": "mkdir -p a/b; chmod 0 a/b a; exit 1"}
    )
    await builder.run(url, INSTALL_COMMAND="true", WORKSPACE=str(tmp_path / "work"))
    assert not (tmp_path / "work").exists()


async def test_artifacts_go_to_s3(builder: Builder, git_server: GitServer, s3_server: S3Server) -> None:
    import aioboto3

    url = await git_server.make_repo("to-s3", {"index.html": PAGE, "a.txt": "a"})
    credentials = {
        "AWS_ACCESS_KEY_ID": s3_server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_access_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for expected in ("4 new blobs", "0 new blobs"):
        built = await builder.run(
            url,
            ARTIFACTS=f"s3://{s3_server.bucket}",
            S3_ENDPOINT_URL=s3_server.endpoint_url,
            **credentials,
        )
        assert built.exit == 0, built.errors
        assert expected in built.live
    session = aioboto3.Session(
        aws_access_key_id=s3_server.access_key_id,
        aws_secret_access_key=s3_server.secret_access_key,
        region_name="us-east-1",
    )
    async with session.client("s3", endpoint_url=s3_server.endpoint_url) as client:
        key = f"__output/{PROJECT}/{DEPLOYMENT}/manifest.json"
        answer = await client.get_object(Bucket=s3_server.bucket, Key=key)
        manifest = json.loads(await answer["Body"].read())
    assert list(manifest["files"]) == ["/a.txt", "/index.html"]


async def test_an_unreachable_store_is_for_the_server_to_retry(
    builder: Builder, git_server: GitServer, tmp_path: Path
) -> None:
    url = await git_server.make_repo("no-store", {"index.html": PAGE})
    (tmp_path / "file").write_text("")
    built = await builder.run(url, ARTIFACTS=str(tmp_path / "file"))
    assert built.exit == 3
    assert "The artifact store did not take the site." in built.live


async def test_a_newer_node_than_there_is_fails_before_the_install(
    builder: Builder, git_server: GitServer
) -> None:
    url = await git_server.make_repo("too-new", {"package.json": SCRIPT_PACKAGE, ".nvmrc": "99\n"})
    built = await builder.run(url, INSTALL_COMMAND="true")
    assert (built.exit, built.code) == (1, "node_version_unavailable")
    assert ".nvmrc asks for Node.js 99" in built.text
    assert "$ true" not in built.text


async def test_a_generator_that_is_not_here_is_told(builder: Builder, git_server: GitServer) -> None:
    if shutil.which("zola"):
        pytest.skip("zola is here")
    url = await git_server.make_repo("no-zola", {"config.toml": "base_url = '/'\n"})
    built = await builder.run(url)
    assert (built.exit, built.code) == (1, "tool_missing")
    assert "This builder has no zola, which Zola needs." in built.text


async def test_pythons_packages_go_into_a_virtual_environment(
    builder: Builder, git_server: GitServer
) -> None:
    script = "mkdir dist; python -c 'import sys; print(sys.prefix)' > dist/index.html; command -v pip"
    url = await git_server.make_repo("venv", {"requirements.txt": "# nothing\n", "build.sh": script})
    built = await builder.run(url, BUILD_COMMAND="sh build.sh")
    assert built.exit == 0, built.text
    assert built.page("/index.html") == "/workspace/tools/venv\n"
    assert "Python packages: pip install -r requirements.txt (requirements.txt)" in built.text
