"""``doctor`` against real parts: what works is ok, and each mistake is one line with its fix."""

from collections.abc import Callable

import pytest

from scalemesh.doctor import run_doctor
from scalemesh.settings import load_settings
from tests.artifacts.s3_server import S3Server
from tests.logs.test_builder_user import builder_url

__all__ = ["builder_url"]

Lines = Callable[[], list[str]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    return lambda: capsys.readouterr().out.splitlines()


@pytest.fixture
def _keys(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_access_key)


@pytest.mark.usefixtures("_keys")
async def test_what_works_is_ok(
    database: str, redis_url: str, builder_url: str, s3_server: S3Server, lines: Lines
) -> None:
    settings = load_settings(
        DATABASE_URL=database,
        SESSION_KEY="a key for tests only",
        REDIS_URL=redis_url,
        REDIS_BUILDER_URL=builder_url,
        S3_BUCKET=s3_server.bucket,
        S3_ENDPOINT_URL=s3_server.endpoint_url,
    )
    assert await run_doctor(settings) == 0
    assert lines() == [
        "ok    DATABASE_URL",
        "ok    REDIS_URL",
        "ok    REDIS_BUILDER_URL",
        "ok    S3_BUCKET",
        "--    ECS_CLUSTER: not set",
    ]


@pytest.mark.usefixtures("_keys")
async def test_what_leads_nowhere_is_told_in_a_line_each(
    s3_server: S3Server, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mistyped")
    settings = load_settings(
        DATABASE_URL="postgresql://ada@127.0.0.1:1/mesh",
        SESSION_KEY="a key for tests only",
        REDIS_URL="redis://127.0.0.1:1",
        REDIS_BUILDER_URL="redis://127.0.0.1:1",
        S3_BUCKET=s3_server.bucket,
        S3_ENDPOINT_URL=s3_server.endpoint_url,
    )
    assert await run_doctor(settings) == 1
    said = lines()
    assert [line.partition(":")[0] for line in said[:4]] == [
        "FAIL  DATABASE_URL",
        "FAIL  REDIS_URL",
        "FAIL  REDIS_BUILDER_URL",
        "FAIL  S3_BUCKET",
    ]
    assert "allow s3:PutObject" in said[3]


async def test_a_builder_user_who_may_do_everything_is_told(redis_url: str, lines: Lines) -> None:
    assert await run_doctor(load_settings(REDIS_URL=redis_url, REDIS_BUILDER_URL=redis_url)) == 1
    told = [line for line in lines() if line.startswith("FAIL")]
    assert [line.split(": ")[1] for line in told] == [
        "its user may read logs",
        "its user may write other keys",
        "its user may publish elsewhere",
    ]


async def test_what_ecs_lacks_is_told(aws: str, redis_url: str, builder_url: str, lines: Lines) -> None:
    """The URLs of Redis are sockets here, which the settings refuse for ECS; that is tested elsewhere."""
    settings = load_settings(
        BUILDER="ecs",
        ECS_CLUSTER="nowhere",
        ECS_TASK_DEFINITION="nothing",
        ECS_SUBNETS="subnet-0a1b2c3d",
        S3_BUCKET="sites",
        S3_ENDPOINT_URL="http://127.0.0.1:1",
        REDIS_URL="redis://127.0.0.1:1",
        REDIS_BUILDER_URL="redis://127.0.0.1:1",
    )
    assert await run_doctor(settings) == 1
    told = [line for line in lines() if "ECS_" in line]
    assert [line.partition(":")[0] for line in told] == [
        "FAIL  ECS_CLUSTER",
        "FAIL  ECS_TASK_DEFINITION",
        "FAIL  ECS_SUBNETS",
    ]
