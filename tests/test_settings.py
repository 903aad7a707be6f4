"""Settings: the environment in, one record or every mistake out."""

from pathlib import Path

import pytest

from scalemesh.addresses import without_password
from scalemesh.settings import Settings, SettingsError, load_settings, session_key
from scalemesh.settings_page import settings_page

ROOT = Path(__file__).resolve().parents[1]
KEY = {"SESSION_KEY": "a key for tests only"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)


def test_with_no_setting_at_all_it_is_for_this_machine_alone() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.public_url) == ("127.0.0.1", 9000, "http://localhost:9000")
    assert settings.listens_on_loopback_only
    assert settings.embeds_postgres
    assert settings.embeds_redis
    assert settings.site_url("x") == "http://x.localhost:9000"


def test_a_platform_that_gives_a_port_is_listened_to_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "5000")
    assert load_settings().host == "0.0.0.0"
    monkeypatch.setenv("HOST", "127.0.0.1")
    assert load_settings().host == "127.0.0.1"


def test_every_mistake_is_reported_together() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(
            PORT="x",
            SIGNUPS="maybe",
            DATABASE_URL="mysql://x",
            S3_ENDPOINT_URL="https://s3.example.com",
            TRUSTED_PROXIES="1.2.3.4/99",
        )
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == [
        "PORT",
        "DATABASE_URL",
        "SESSION_KEY",
        "S3_ENDPOINT_URL",
        "TRUSTED_PROXIES",
        "SIGNUPS",
    ]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"DATABASE_URL": "postgresql://h/d"}, "SESSION_KEY: required beside DATABASE_URL"),
        ({"SESSION_KEY": "short"}, "SESSION_KEY"),
        ({"PUBLIC_URL": "example.com"}, "PUBLIC_URL"),
        ({"PUBLIC_URL": "https://example.com/path"}, "PUBLIC_URL"),
        ({"BUILD_TIMEOUT_S": 1}, "BUILD_TIMEOUT_S"),
        ({"DATABASE_URL": "postgresql://h/a", "DBURI": "postgresql://h/b", **KEY}, "DBURI"),
        ({"DBURI": "host=h nonsense=1", **KEY}, "DBURI"),
        ({"REDIS_URL": "nonsense"}, "REDIS_URL"),
        ({"REDIS_URL": "redis://127.0.0.1:99999"}, "REDIS_URL"),
        ({"GIT_ALLOWED_HOSTS": "https://github.com"}, "GIT_ALLOWED_HOSTS"),
        ({"SITES_DOMAIN": "http://foo"}, "SITES_DOMAIN"),
        ({"DATABASE_URL": "postgres://u:a#b@h:5432/d", **KEY}, "DATABASE_URL: its host or port"),
        ({"DATABASE_URL": "postgres://u@h:54321234/d", **KEY}, "DATABASE_URL: its host or port"),
        ({"DATABASE_URL": "postgres://u@h/d?sslmode=yes", **KEY}, "DATABASE_URL: sslmode is one of"),
        ({"REDIS_URL": "redis://h", "REDIS_TLS_VERIFY": "0"}, "REDIS_TLS_VERIFY: 0 is for"),
        ({"S3_BUCKET": "s3://sites"}, "S3_BUCKET: give the bucket's name alone"),
        ({"S3_BUCKET": "sites", "S3_ENDPOINT_URL": "s3.example.com"}, "S3_ENDPOINT_URL: give a URL"),
        ({"S3_ENDPOINT_URL": "http://127.0.0.1:1"}, "S3_BUCKET"),
        (
            {"BUILDER": "docker", "DOCKER_HOST": "tcp://engine:2376"},
            "DOCKER_HOST: is reached over the network",
        ),
        ({"BUILD_SANDBOX": "none", "HOST": "0.0.0.0"}, "BUILD_SANDBOX: none runs strangers' code"),
        ({"DRAIN_S": 60}, "DRAIN_S"),
        ({"WEB_CONCURRENCY": 0}, "WEB_CONCURRENCY"),
        ({"METRICS_TOKEN": "short"}, "METRICS_TOKEN"),
        ({"ACCESS_LOG": "some"}, "ACCESS_LOG"),
        ({"WEB_CONCURRENCY": 9}, "WEB_CONCURRENCY: is at most 8 on the embedded database"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(given: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load_settings(**given)


def test_a_database_may_be_given_in_words() -> None:
    words = "host=db user=ada password=p@ss dbname=mesh port=5433 sslmode=require TimeZone=UTC"
    settings = load_settings(DBURI=words, **KEY)
    assert settings.database == (
        "postgresql://ada:p%40ss@/mesh?host=db&port=5433&sslmode=require&timezone=UTC"
    )


def test_a_key_is_made_once_and_kept_for_this_user_alone(tmp_path: Path) -> None:
    settings = load_settings(DATA_DIR=tmp_path)
    key = session_key(settings)
    assert len(key) == 64
    assert session_key(settings) == key
    assert (tmp_path / "session.key").stat().st_mode & 0o777 == 0o600
    assert session_key(load_settings(DATA_DIR=tmp_path, **KEY)) == KEY["SESSION_KEY"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("rediss://:secret@h:6380/1", "rediss://:secret@h:6380/1?ssl_cert_reqs=none"),
        ("rediss://h?ssl_cert_reqs=required&db=2", "rediss://h?db=2&ssl_cert_reqs=none"),
    ],
)
def test_a_redis_with_any_certificate_is_said_in_its_address(given: str, kept: str) -> None:
    assert load_settings(REDIS_URL=given, REDIS_TLS_VERIFY="0").redis == kept
    assert load_settings(REDIS_URL=given).redis == given


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgres://ada:pass@h:5432/mesh?sslmode=require", "postgres://ada@h:5432/mesh?sslmode=require"),
        ("postgresql://ada:pass@/mesh?host=db&port=5433", "postgresql://ada@/mesh?host=db&port=5433"),
        ("rediss://:pass@h:6380/0?ssl_password=pass", "rediss://h:6380/0"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    assert without_password(address) == shown


def test_the_page_of_settings_is_that_of_the_class() -> None:
    assert (ROOT / "docs/settings.md").read_text() == settings_page(), "run `make settings-docs`"
