"""What is asked of the Docker API, compared whole."""

from pathlib import Path
from typing import Any

import pytest

from scalemesh.builds.containers import (
    ContainerPlace,
    artifacts_directory,
    build_of,
    container_name,
    container_request,
    installation_name,
)
from scalemesh.model import BuildID, DeploymentID

PLACE = ContainerPlace(image="scalemesh-builder", network="", cpus=1.5, installation="abc123")
ENVIRONMENT = {
    "GITHUB_REPO_URL": "https://git.example.com/ada/site.git",
    "projectID": "proj1",
    "DEPLOYMENT_ID": "dep1",
    "ATTEMPT": "2",
    "ARTIFACTS": "/data/a:b/artifacts",
    "REDIS_URL": "unix://build-dep1-2:word@/data/a%3Ab/run/valkey/valkey.sock?db=1",
    "BUILD_DEADLINE": "2030-01-31T12:00:00Z",
    "BUILD_MEMORY_BYTES": str(1024**3),
    "BUILD_SANDBOX": "none",
}
SERVER = {
    "PATH": "/usr/bin",
    "SESSION_KEY": "a key of the server",
    "DATABASE_URL": "postgresql://u:p@db/mesh",
    "SSL_CERT_FILE": "/host/ca.crt",
    "AWS_CONFIG_FILE": "/host/aws",
    "https_proxy": "http://proxy:3128",
    "NPM_CONFIG_REGISTRY": "https://npm.example.com",
}


def test_the_whole_request() -> None:
    assert container_request(PLACE, ENVIRONMENT, SERVER) == {
        "Image": "scalemesh-builder",
        "Env": [
            "ARTIFACTS=/srv/scalemesh/artifacts",
            "ATTEMPT=2",
            "BUILD_DEADLINE=2030-01-31T12:00:00Z",
            "BUILD_MEMORY_BYTES=1073741824",
            "BUILD_PROCESSES=512",
            "BUILD_SANDBOX=none",
            "DEPLOYMENT_ID=dep1",
            "GITHUB_REPO_URL=https://git.example.com/ada/site.git",
            "NPM_CONFIG_REGISTRY=https://npm.example.com",
            "REDIS_URL=unix://build-dep1-2:word@/srv/scalemesh/redis/valkey.sock?db=1",
            "WORKSPACE=/work/build",
            "https_proxy=http://proxy:3128",
            "projectID=proj1",
        ],
        "Labels": {
            "scalemesh.installation": "abc123",
            "scalemesh.deployment": "dep1",
            "scalemesh.attempt": "2",
        },
        "HostConfig": {
            "CapAdd": ["CHOWN", "DAC_OVERRIDE", "KILL", "SETGID", "SETPCAP", "SETUID"],
            "CapDrop": ["ALL"],
            "CpuPeriod": 100_000,
            "CpuQuota": 150_000,
            "Memory": 1_610_612_736,
            "MemorySwap": 1_610_612_736,
            "Mounts": [
                {"Type": "volume", "Target": "/work"},
                {
                    "Type": "bind",
                    "Source": "/data/a:b/artifacts/__output/proj1",
                    "Target": "/srv/scalemesh/artifacts/__output/proj1",
                },
                {
                    "Type": "bind",
                    "Source": "/data/a:b/run/valkey",
                    "Target": "/srv/scalemesh/redis",
                },
            ],
            "PidsLimit": 576,
            "ReadonlyRootfs": True,
            "RestartPolicy": {"Name": "no"},
            "SecurityOpt": ["no-new-privileges"],
            "Tmpfs": {"/tmp": "rw,exec,nosuid,nodev,mode=1777,size=268435456"},
            "Ulimits": [
                {"Name": "nofile", "Soft": 8192, "Hard": 8192},
                {"Name": "nproc", "Soft": 4096, "Hard": 4096},
                {"Name": "core", "Soft": 0, "Hard": 0},
            ],
        },
    }


def test_with_s3_and_a_redis_elsewhere_nothing_of_the_host_is_mounted() -> None:
    environment = ENVIRONMENT | {"ARTIFACTS": "s3://sites", "REDIS_URL": "rediss://u:p@redis:6380/0"}
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
    request: dict[str, Any] = container_request(PLACE, environment, SERVER | keys)
    assert request["HostConfig"]["Mounts"] == [{"Type": "volume", "Target": "/work"}]
    assert "ARTIFACTS=s3://sites" in request["Env"]
    assert "REDIS_URL=rediss://u:p@redis:6380/0" in request["Env"]
    assert not any(variable.startswith("AWS_") for variable in request["Env"])
    assert artifacts_directory(environment) is None


def test_the_directory_of_one_project_is_what_a_container_gets() -> None:
    assert artifacts_directory(ENVIRONMENT) == Path("/data/a:b/artifacts/__output/proj1")


@pytest.mark.parametrize("network", ["host", "mesh"])
def test_a_network_is_named_only_where_the_setting_names_one(network: str) -> None:
    place = ContainerPlace(image="x", network=network, cpus=1, installation="abc123")
    request: dict[str, Any] = container_request(place, ENVIRONMENT, {})
    assert request["HostConfig"]["NetworkMode"] == network


def test_a_container_says_by_its_labels_which_build_it_is() -> None:
    labels = container_request(PLACE, ENVIRONMENT, {})["Labels"]
    build = build_of(labels)
    assert build == BuildID(DeploymentID("dep1"), 2)
    assert container_name(build) == "scalemesh-dep1-2"


def test_servers_of_one_store_are_one_installation() -> None:
    mine = installation_name("sites", "https://s3.example.com")
    assert mine == installation_name("sites", "https://s3.example.com")
    assert len({mine, installation_name("sites", ""), installation_name("/data", "")}) == 3
