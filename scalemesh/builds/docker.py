"""The builder as a container of a Docker or Podman engine, which outlives this server."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
from aiodocker import Docker
from aiodocker.containers import DockerContainer
from aiodocker.exceptions import DockerError

from scalemesh.builds import containers
from scalemesh.builds.again import persistently
from scalemesh.builds.containers import ContainerPlace, container_name, container_request
from scalemesh.builds.launcher import LauncherAway, LaunchFailed, RunningBuild
from scalemesh.errors import ScaleMeshError
from scalemesh.model import BuildID, DeploymentID, Failure

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Making a container takes a second on a busy engine; one that needs longer than this is stuck.
_CALL_TIMEOUT_S = 60.0
# An engine that is restarted is back within this.
_LAUNCH_TRIES = 10
_RETRY_S = 1.0
# The builder is gone 5 s after SIGTERM. It is sent every second, because a builder that is only just
# starting has no handler yet, and the first process of a container is spared what it does not handle.
_STOP_GRACE_S = 8
# Of what the builder itself says on stderr, the end is worth a line in the server's log.
_STDERR_TAIL_LINES = 20

# The builder's own status for infrastructure: what a builder that left none of its own came to.
_LOST = 3
# Docker's word for it, and Podman's.
_NOT_STARTED = ("created", "configured", "initialized")
# aiodocker's own number for "no connection".
_NO_CONNECTION = 900


class CannotUseDocker(ScaleMeshError):
    """BUILDER=docker, and its API does not answer or has no builder image."""

    code = "cannot_use_docker"


@dataclass(frozen=True, slots=True)
class _End:
    status: int
    out_of_memory: bool = False


@asynccontextmanager
async def open_docker_launcher(url: str, place: ContainerPlace) -> AsyncIterator["DockerLauncher"]:
    """A launcher on the engine at ``url``, which answers and has the image. Raises CannotUseDocker."""
    async with Docker(url=url, timeout=aiohttp.ClientTimeout(total=_CALL_TIMEOUT_S)) as docker:
        try:
            await docker.version()
        except (DockerError, aiohttp.ClientError, OSError) as error:
            raise CannotUseDocker(
                f"BUILDER=docker, and the Docker API does not answer at {url} ({_said(error)}). "
                "Start Docker or `podman system service`, let this user open its socket, or set DOCKER_HOST."
            ) from error
        try:
            await docker.images.inspect(place.image)
        except DockerError as error:
            raise CannotUseDocker(
                f"BUILDER=docker, and the engine at {url} has no image {place.image} ({_said(error)}). "
                f"Build it in the project's root: docker build -t {place.image} builder/"
            ) from error
        yield DockerLauncher(docker, place)


class DockerLauncher:
    """One container for each attempt of a deployment, found again by its name and labels."""

    outlives_server = True

    def __init__(self, docker: Docker, place: ContainerPlace) -> None:
        self._docker = docker
        self._place = place

    async def launch(self, deployment_id: DeploymentID, environment: Mapping[str, str]) -> RunningBuild:
        build = BuildID(deployment_id, int(environment["ATTEMPT"]))
        directory = containers.artifacts_directory(environment)
        try:
            if directory is not None:
                await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
            request = container_request(self._place, environment, os.environ)
            container = await _persistently(lambda: self._start(build, request))
        except (DockerError, TimeoutError, OSError) as error:
            with contextlib.suppress(LauncherAway):
                await self.remove(build)
            raise LaunchFailed(_said(error)) from error
        return DockerBuild(container, build)

    async def resume(self, build: BuildID) -> RunningBuild | None:
        with _away():
            container = await self._fetch(build)
            if container is None:
                return None
            state = await container.show()
            if state["State"]["Status"] in _NOT_STARTED:
                # Its server was gone between the two calls.
                await container.start()
        return DockerBuild(container, build)

    async def list_builds(self) -> Collection[BuildID]:
        label = f"{containers.INSTALLATION}={self._place.installation}"
        with _away():
            found = await self._docker.containers.list(all=True, filters=f'{{"label": ["{label}"]}}')
        return [containers.build_of(container["Labels"]) for container in found]

    async def remove(self, build: BuildID) -> None:
        with _away():
            await _remove(self._docker.containers.container(container_name(build)))

    async def _start(self, build: BuildID, request: Mapping[str, Any]) -> DockerContainer:
        """The running container of ``build``; one that is there already, from a try whose answer was lost."""
        container = await self._fetch(build)
        if container is None:
            container = await self._docker.containers.create(dict(request), name=container_name(build))
            await container.start()
        elif (await container.show())["State"]["Status"] in _NOT_STARTED:
            await container.start()
        return container

    async def _fetch(self, build: BuildID) -> DockerContainer | None:
        try:
            return await self._docker.containers.get(container_name(build))
        except DockerError as error:
            if error.status == 404:
                return None
            raise


class DockerBuild:
    """Follows ``container``, and on the way an engine that is away for a while."""

    def __init__(self, container: DockerContainer, build: BuildID) -> None:
        self._container = container
        self._build = build
        self._ended = asyncio.create_task(self._watch(), name=f"container of {build.deployment_id}")

    async def wait(self) -> int:
        return (await asyncio.shield(self._ended)).status

    async def stop(self, *, canceled: bool = False) -> None:
        for _ in range(_STOP_GRACE_S if canceled else 0):
            if self._ended.done():
                break
            with contextlib.suppress(DockerError, TimeoutError):
                await self._container.kill(signal="SIGTERM")
            await asyncio.wait({self._ended}, timeout=1.0)
        try:
            with _away():
                await _remove(self._container)
        except LauncherAway as error:
            logger.warning("the container of %s is removed later: %s", self._build.deployment_id, error)
            self._ended.cancel()
        await asyncio.wait({self._ended})

    async def leave(self) -> None:
        self._ended.cancel()
        await asyncio.wait({self._ended})

    def explain(self) -> Failure | None:
        if self._ended.done() and not self._ended.cancelled() and self._ended.result().out_of_memory:
            return Failure(
                code="out_of_memory",
                message="The build needed more memory than its container may have.",
                hint="Make the build need less memory, for example without source maps or with fewer "
                "parallel workers, or raise BUILD_MEMORY_MIB on the server.",
            )
        return None

    async def _watch(self) -> _End:
        while True:
            try:
                # It also returns when the engine goes away in good order, so its answer alone proves nothing.
                await self._container.wait()
                shown = await self._container.show()
                state = shown["State"]
                if not state["Running"]:
                    await self._tell(state["ExitCode"])
                    return _End(state["ExitCode"], bool(state.get("OOMKilled")))
            except DockerError as error:
                if error.status == 404:
                    return _End(_LOST)
                logger.warning("waiting for the container of %s: %s", self._build.deployment_id, _said(error))
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                logger.warning("waiting for the container of %s: %s", self._build.deployment_id, _said(error))
            await asyncio.sleep(_RETRY_S)

    async def _tell(self, status: int) -> None:
        lines = await self._container.log(stderr=True, tail=_STDERR_TAIL_LINES)
        if said := "".join(lines).strip():
            logger.warning(
                "the builder of %s (exit status %d) said: %s", self._build.deployment_id, status, said
            )


async def _remove(container: DockerContainer) -> None:
    try:
        await container.delete(force=True, v=True)
    except DockerError as error:
        # 409: its removal is under way already.
        if error.status not in (404, 409):
            raise


@contextlib.contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except (DockerError, TimeoutError, aiohttp.ClientError, OSError) as error:
        raise LauncherAway(_said(error)) from error


async def _persistently(work: Callable[[], Awaitable[T]]) -> T:
    """Try again while the engine is away; then its last error."""
    return await persistently(
        work,
        lambda error: isinstance(error, DockerError) and error.status == _NO_CONNECTION,
        attempts=_LAUNCH_TRIES,
        said=_said,
    )


def _said(error: Exception) -> str:
    if isinstance(error, DockerError):
        return error.message
    return str(error) or type(error).__name__
