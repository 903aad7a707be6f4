"""What a builder is told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from scalemesh.builds.order import BuildPlace, builder_environment, site_label
from scalemesh.db.queue import Claim
from scalemesh.model import BuildID, BuildSettings, DeploymentID, ProjectID, Target

CLAIM = Claim(
    deployment_id=DeploymentID("dep1"),
    project_id=ProjectID("proj1"),
    attempt=2,
    worker="me",
    target=Target.PRODUCTION,
    slug="my-site",
    git_url="https://git.example.com/ada/site.git",
    ref="v1",
    build=BuildSettings(
        branch="main",
        root_directory="packages/web",
        install_command="npm ci",
        build_command="npm run build",
        output_directory="dist",
    ),
    env_encrypted=b"sealed",
    access_token_encrypted=b"sealed too",
    no_cache=True,
    started_at=datetime(2030, 1, 31, tzinfo=UTC),
    deadline=datetime(2030, 1, 31, 14, 0, 0, 999, timezone(timedelta(hours=2))),
    production=BuildID(DeploymentID("dep0"), 3),
)
PLACE = BuildPlace(
    artifacts="s3://sites",
    s3_endpoint_url="http://s3.example.com",
    redis_url="redis://anybody@redis.example.com/0",
    sandbox="bwrap",
    allow_local_repos=True,
    examples=Path("/data/examples"),
)


def environment(
    claim: Claim, place: BuildPlace, env: dict[str, str], token: str | None = None
) -> dict[str, str]:
    site_url = "https://my-site.example.com"
    redis_url = "redis://redis.example.com/0"
    return builder_environment(
        claim, place, env=env, git_token=token, site_url=site_url, first_seq=41, redis_url=redis_url
    )


def test_the_whole_environment() -> None:
    assert environment(CLAIM, PLACE, {"API_URL": "https://ä.example.com"}, "t0ken") == {
        "GITHUB_REPO_URL": "https://git.example.com/ada/site.git",
        "ALLOW_LOCAL_REPOS": "1",
        "projectID": "proj1",
        "DEPLOYMENT_ID": "dep1",
        "ATTEMPT": "2",
        "GIT_TOKEN": "t0ken",
        "GIT_REF": "v1",
        "ROOT_DIRECTORY": "packages/web",
        "INSTALL_COMMAND": "npm ci",
        "BUILD_COMMAND": "npm run build",
        "OUTPUT_DIRECTORY": "dist",
        "BUILD_ENV": '{"API_URL": "https://\\u00e4.example.com"}',
        "NO_CACHE": "1",
        "PREVIOUS_MANIFEST": "__output/proj1/dep0/manifest-3.json",
        "ARTIFACTS": "s3://sites",
        "S3_ENDPOINT_URL": "http://s3.example.com",
        "REDIS_URL": "redis://redis.example.com/0",
        "LOG_FIRST_SEQ": "41",
        "BUILD_DEADLINE": "2030-01-31T12:00:00Z",
        "BUILD_SANDBOX": "bwrap",
        "SITE_URL": "https://my-site.example.com",
    }


def test_what_has_no_value_is_left_to_the_builder() -> None:
    claim = replace(CLAIM, ref=None, build=BuildSettings(), no_cache=False, production=None)
    place = replace(PLACE, artifacts="/data/artifacts", s3_endpoint_url="", allow_local_repos=False)
    assert environment(claim, place, {}) == {
        "GITHUB_REPO_URL": "https://git.example.com/ada/site.git",
        "projectID": "proj1",
        "DEPLOYMENT_ID": "dep1",
        "ATTEMPT": "2",
        "ARTIFACTS": "/data/artifacts",
        "REDIS_URL": "redis://redis.example.com/0",
        "LOG_FIRST_SEQ": "41",
        "BUILD_DEADLINE": "2030-01-31T12:00:00Z",
        "BUILD_SANDBOX": "bwrap",
        "SITE_URL": "https://my-site.example.com",
    }


def test_an_example_is_a_repository_of_this_machine() -> None:
    told = environment(replace(CLAIM, git_url="example:plain-html"), PLACE, {})
    assert told["GITHUB_REPO_URL"].startswith("file:///data/examples/plain-html")
    assert told["ALLOW_FILE_REPO"] == "1"


def test_a_previews_links_lead_to_itself() -> None:
    assert site_label(CLAIM) == "my-site"
    assert site_label(replace(CLAIM, target=Target.PREVIEW)) == "dep1--my-site"
