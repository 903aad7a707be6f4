"""BUILDER=docker on a machine whose Docker does not answer. With one: ``end_to_end/test_containers``."""

from pathlib import Path

import pytest

from scalemesh.builds.containers import ContainerPlace
from scalemesh.builds.docker import CannotUseDocker, open_docker_launcher
from scalemesh.settings import SettingsError, load_settings

PLACE = ContainerPlace(image="scalemesh-builder", network="", cpus=1, installation="x")


async def test_an_api_that_does_not_answer_is_named_with_what_to_do(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/docker.sock"
    with pytest.raises(CannotUseDocker, match=f"does not answer at {url} .*set DOCKER_HOST"):
        async with open_docker_launcher(url, PLACE):
            pass


def test_an_engine_elsewhere_needs_a_store_and_a_redis_that_it_reaches() -> None:
    given = {"BUILDER": "docker", "DOCKER_HOST": "tcp://10.0.0.7:2375", "SESSION_KEY": "a key for tests only"}
    with pytest.raises(SettingsError, match="set S3_BUCKET and REDIS_URL"):
        load_settings(**given)
    load_settings(**given, S3_BUCKET="sites", REDIS_URL="redis://10.0.0.8")
    with pytest.raises(SettingsError, match="DOCKER_HOST: begins with"):
        load_settings(**given | {"DOCKER_HOST": "ssh://ada@10.0.0.7"})


def test_docker_settings_are_nobodys_concern_without_docker() -> None:
    assert load_settings(DOCKER_HOST="ssh://ada@10.0.0.7").builder == "process"
