"""What a server does on a machine that can't keep builds apart."""

import logging
from pathlib import Path

import pytest

from scalemesh.builds.isolation import CannotIsolate, choose_sandbox
from scalemesh.settings import Settings, SettingsError, load_settings


def settings(**given: object) -> Settings:
    return load_settings(SESSION_KEY="a key for tests only", **given)


@pytest.fixture
def no_user_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bwrap in front of the real one that answers like one on a machine without user namespaces."""
    program = tmp_path / "bwrap"
    program.write_text('#!/bin/sh\necho "bwrap: No permissions to create a new namespace" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


async def test_builds_are_sandboxed_where_that_works() -> None:
    assert await choose_sandbox(settings()) == "bwrap"
    assert await choose_sandbox(settings(HOST="0.0.0.0")) == "bwrap"


@pytest.mark.usefixtures("no_user_namespaces")
async def test_a_server_for_this_machine_alone_warns_loudly_and_builds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert await choose_sandbox(settings()) == "none"
    assert "BUILDS ARE NOT ISOLATED (bwrap: No permissions to create a new namespace)" in caplog.text


@pytest.mark.usefixtures("no_user_namespaces")
@pytest.mark.parametrize("given", [{"HOST": "0.0.0.0"}, {"PORT": 8080}, {"BUILD_SANDBOX": "bwrap"}])
async def test_a_server_that_others_reach_refuses_and_says_what_to_install(given: dict[str, object]) -> None:
    with pytest.raises(CannotIsolate, match="Install bubblewrap"):
        await choose_sandbox(settings(**given))


def test_no_sandbox_is_a_setting_for_this_machine_alone() -> None:
    assert settings(BUILD_SANDBOX="none").build_sandbox == "none"
    with pytest.raises(SettingsError, match="BUILD_SANDBOX: none runs"):
        settings(BUILD_SANDBOX="none", HOST="0.0.0.0")
