"""Where builds run, found out before the server listens: BUILDER and what this machine can do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from scalemesh.builds.containers import ContainerPlace, installation_name
from scalemesh.builds.isolation import choose_sandbox
from scalemesh.builds.launcher import Launcher
from scalemesh.builds.process import open_process_launcher
from scalemesh.settings import Settings


@dataclass(frozen=True, slots=True)
class Place:
    """``sandbox`` is the builder contract's BUILD_SANDBOX."""

    launcher: Launcher
    sandbox: str


@asynccontextmanager
async def open_place(settings: Settings, *, standby: bool) -> AsyncIterator[Place]:
    """The launcher of BUILDER, where it has any with a builder that stands by.

    Raises CannotIsolate and CannotUseDocker, with the fix in the sentence.
    """
    if settings.builder == "process":
        sandbox = await choose_sandbox(settings)
        async with open_process_launcher(standby=standby) as launcher:
            yield Place(launcher, sandbox)
        return
    # Its client is half a megabyte that only this way of building needs.
    from scalemesh.builds.docker import open_docker_launcher

    place = ContainerPlace(
        image=settings.builder_image,
        network=settings.docker_network,
        cpus=settings.build_cpus,
        installation=installation_name(
            settings.s3_bucket or str(settings.data_dir.resolve()), settings.s3_endpoint_url
        ),
    )
    async with open_docker_launcher(settings.docker_host, place) as launcher:
        yield Place(launcher, "none")
