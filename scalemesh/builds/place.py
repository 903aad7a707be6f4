"""Where builds run, as BUILDER says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from scalemesh.aws import Aws
from scalemesh.builds.containers import ContainerPlace, installation_name
from scalemesh.builds.launcher import Launcher
from scalemesh.builds.process import open_process_launcher
from scalemesh.builds.tasks import TaskPlace
from scalemesh.settings import Settings


@dataclass(frozen=True, slots=True)
class Place:
    """``grants``: builders get no key of S3."""

    launcher: Launcher
    grants: bool


@asynccontextmanager
async def open_place(settings: Settings, aws: Aws, *, standby: bool) -> AsyncIterator[Place]:
    """The launcher of BUILDER, where it has any with a builder that stands by.

    Raises CannotUseDocker and CannotUseECS, with the fix in the sentence.
    """
    if settings.builder == "process":
        async with open_process_launcher(standby=standby) as launcher:
            yield Place(launcher, grants=False)
        return
    if settings.builder == "ecs":
        # As for Docker below.
        from scalemesh.builds.ecs import open_ecs_launcher

        async with open_ecs_launcher(ecs_place(settings), session=aws.session) as launcher:
            yield Place(launcher, grants=True)
        return
    # Its client is half a megabyte that only this way of building needs.
    from scalemesh.builds.docker import open_docker_launcher

    place = ContainerPlace(
        image=settings.builder_image,
        network=settings.docker_network,
        cpus=settings.build_cpus,
        installation=_installation(settings),
    )
    async with open_docker_launcher(settings.docker_host, place) as launcher:
        yield Place(launcher, grants=True)


def ecs_place(settings: Settings) -> TaskPlace:
    return TaskPlace(
        cluster=settings.ecs_cluster,
        task_definition=settings.ecs_task_definition,
        container=settings.ecs_container_name,
        subnets=settings.ecs_subnets,
        security_groups=settings.ecs_security_groups,
        assign_public_ip=settings.ecs_assign_public_ip,
        launch_type=settings.ecs_launch_type,
        installation=_installation(settings),
    )


def _installation(settings: Settings) -> str:
    return installation_name(settings.s3_bucket or str(settings.data_dir.resolve()), settings.s3_endpoint_url)
