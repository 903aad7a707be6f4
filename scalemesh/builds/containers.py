"""What is asked of the Docker API for one build. Pure: ``docker`` asks it.

The container is the sandbox. The builder is root in it with the few capabilities by which it hands the
checkout to another uid, reads the result back and ends its processes; the user's commands have none of
them. The root file system is read-only. Of the host it sees the project's own artifacts and the socket of
Redis, both below a directory that only root of the container can enter.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from scalemesh.keys import project_prefix
from scalemesh.model import BuildID, DeploymentID, ProjectID

INSTALLATION = "scalemesh.installation"
DEPLOYMENT = "scalemesh.deployment"
ATTEMPT = "scalemesh.attempt"

_MIB = 1024 * 1024

# Of the image: 0700 and root's.
_PRIVATE = "/srv/scalemesh"
_WORK = "/work"

# CHOWN hands the checkout to the commands' uid, DAC_OVERRIDE reads and removes what they made of it, SETUID
# and SETGID become that uid, SETPCAP takes every capability from it for good, KILL ends its processes.
_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "KILL", "SETGID", "SETPCAP", "SETUID")

# The builder compresses many files at once beside the commands' own memory.
_BUILDER_MEMORY_BYTES = 512 * _MIB
_PROCESSES = 512
# The builder's own threads: of Python's pool, of the compressors, of git.
_BUILDER_PROCESSES = 64
# The kernel counts this for a uid over all containers; the pids limit is what bounds one build.
_PROCESSES_OF_UID = 4096
_OPEN_FILES = 8192
_TMP = f"rw,exec,nosuid,nodev,mode=1777,size={256 * _MIB}"

_CPU_PERIOD_US = 100_000

# As for a child process: how to get out of this network. Into the store a grant leads. Files that such a
# variable names are the host's, and the container has none of them.
_PASSED_ON_ANY_CASE = ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "npm_config_registry")
_PASSED_ON = ("YARN_REGISTRY", "YARN_NPM_REGISTRY_SERVER")


@dataclass(frozen=True, slots=True)
class ContainerPlace:
    """What is the same for every container of this server. ``network`` is empty for the engine's default."""

    image: str
    network: str
    cpus: float
    installation: str


def installation_name(artifacts: str, s3_endpoint_url: str) -> str:
    """The same for servers that share an artifact store, and for no others on one engine."""
    return hashlib.sha256(f"{s3_endpoint_url} {artifacts}".encode()).hexdigest()[:12]


def container_name(build: BuildID) -> str:
    return f"scalemesh-{build.deployment_id}-{build.attempt}"


def build_of(labels: Mapping[str, str]) -> BuildID:
    """The build that a container's labels name. Raises KeyError and ValueError for another's container."""
    return BuildID(DeploymentID(labels[DEPLOYMENT]), int(labels[ATTEMPT]))


def artifacts_directory(environment: Mapping[str, str]) -> Path | None:
    """The host's directory that is to exist before the container is made; None where the store is S3."""
    artifacts = environment["ARTIFACTS"]
    if artifacts.startswith("s3://"):
        return None
    return Path(artifacts) / project_prefix(ProjectID(environment["projectID"]))


def container_request(
    place: ContainerPlace, environment: Mapping[str, str], environ: Mapping[str, str]
) -> dict[str, Any]:
    """The body of ``POST /containers/create``. ``environ`` is the server's own environment."""
    variables = {
        **_passed_on(environ),
        **environment,
        "WORKSPACE": f"{_WORK}/build",
        "BUILD_PROCESSES": str(_PROCESSES),
    }
    mounts: list[dict[str, Any]] = [{"Type": "volume", "Target": _WORK}]
    directory = artifacts_directory(environment)
    if directory is not None:
        variables["ARTIFACTS"] = f"{_PRIVATE}/artifacts"
        target = f"{_PRIVATE}/artifacts/{project_prefix(ProjectID(environment['projectID']))}".rstrip("/")
        mounts.append({"Type": "bind", "Source": str(directory), "Target": target})
    redis = urlsplit(environment["REDIS_URL"])
    if redis.scheme == "unix":
        # The directory, not the socket: a Redis that starts again makes another socket there.
        socket = Path(unquote(redis.path))
        inside = quote(f"{_PRIVATE}/redis/{socket.name}")
        query = f"?{redis.query}" if redis.query else ""
        variables["REDIS_URL"] = f"unix://{redis.netloc}{inside}{query}"
        mounts.append({"Type": "bind", "Source": str(socket.parent), "Target": f"{_PRIVATE}/redis"})
    memory_bytes = int(environment["BUILD_MEMORY_BYTES"]) + _BUILDER_MEMORY_BYTES
    host: dict[str, Any] = {
        "CapAdd": list(_CAPABILITIES),
        "CapDrop": ["ALL"],
        # As a quota, which unlike NanoCpus no engine compares with the number of its cores.
        "CpuPeriod": _CPU_PERIOD_US,
        "CpuQuota": round(place.cpus * _CPU_PERIOD_US),
        "Memory": memory_bytes,
        "MemorySwap": memory_bytes,
        "Mounts": mounts,
        "PidsLimit": _PROCESSES + _BUILDER_PROCESSES,
        "ReadonlyRootfs": True,
        "RestartPolicy": {"Name": "no"},
        "SecurityOpt": ["no-new-privileges"],
        "Tmpfs": {"/tmp": _TMP},  # noqa: S108 - the container's own
        "Ulimits": [
            {"Name": "nofile", "Soft": _OPEN_FILES, "Hard": _OPEN_FILES},
            {"Name": "nproc", "Soft": _PROCESSES_OF_UID, "Hard": _PROCESSES_OF_UID},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
    }
    if place.network:
        host["NetworkMode"] = place.network
    return {
        "Image": place.image,
        "Env": [f"{name}={value}" for name, value in sorted(variables.items())],
        "Labels": {
            INSTALLATION: place.installation,
            DEPLOYMENT: environment["DEPLOYMENT_ID"],
            ATTEMPT: environment["ATTEMPT"],
        },
        "HostConfig": host,
    }


def _passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if value and (name in _PASSED_ON or name.lower() in _PASSED_ON_ANY_CASE)
    }
