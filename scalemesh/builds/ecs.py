"""The builder as a task of Amazon ECS, which outlives this server."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError, NoRegionError

from scalemesh.builds.ecs_check import find_mistakes
from scalemesh.builds.launcher import LaunchDelayed, LauncherAway, LaunchFailed, RunningBuild
from scalemesh.builds.task_watch import AWAY, DESCRIBED_AT_ONCE, MISSING_S, POLL_S, TaskWatch
from scalemesh.builds.tasks import (
    Cause,
    TaskEnd,
    TaskPlace,
    build_of,
    explain,
    failures_may_pass,
    may_pass,
    set_up_wrong,
    task_request,
    too_large,
)
from scalemesh.errors import ScaleMeshError
from scalemesh.model import BuildID, DeploymentID, Failure
from scalemesh.tasks import end_tasks

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10
TRIES = 3
"""Of one call, with boto's own pauses; what fails longer waits in the queue."""

# Between two launches while ECS has no room: doubled each time, and spread, since other servers ask too.
_FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 60.0
# Looking for tasks of an earlier server costs a call for each hundred, so many who ask share one look.
_LOOK_S = 2.0
# An end is seen with the next sweep; whoever stops a task holds a lease meanwhile, which is 15 s.
_STOP_WAIT_S = 4.0


class CannotUseECS(ScaleMeshError):
    """BUILDER=ecs, and ECS has not what the settings name."""

    code = "cannot_use_ecs"


@asynccontextmanager
async def open_ecs_launcher(
    place: TaskPlace, *, session: AioSession | None = None
) -> AsyncIterator["EcsLauncher"]:
    """A launcher on a cluster that has what ``place`` names. Raises CannotUseECS with all that it lacks.

    Where ECS does not answer it starts all the same, since sites are served without it.
    """
    async with open_ecs_client(session=session) as client:
        try:
            if mistakes := await find_mistakes(client, place):
                raise CannotUseECS("BUILDER=ecs can't be used:\n" + "\n".join(mistakes))
        except AWAY as error:
            logger.warning("ECS can't be reached, so builds wait: %s", error)
        async with running_ecs_launcher(client, place) as launcher:
            yield launcher


@asynccontextmanager
async def open_ecs_client(service: str = "ecs", *, session: AioSession | None = None) -> AsyncIterator[Any]:
    """boto's client. Credentials, region and endpoint are boto's to find. Raises CannotUseECS."""
    config = AioConfig(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": TRIES},
    )
    async with AsyncExitStack() as stack:
        try:
            boto = aioboto3.Session(botocore_session=session)
            client = await stack.enter_async_context(boto.client(service, config=config))
        except NoRegionError as error:
            raise CannotUseECS(
                "AWS_DEFAULT_REGION: BUILDER=ecs needs it, for example eu-central-1"
            ) from error
        yield client


@asynccontextmanager
async def running_ecs_launcher(
    client: Any, place: TaskPlace, *, poll_s: float = POLL_S
) -> AsyncIterator["EcsLauncher"]:
    """A launcher whose poller runs as long as the block."""
    launcher = EcsLauncher(client, place)
    poller = asyncio.create_task(launcher.watch.run(poll_s), name="ECS poller")
    try:
        yield launcher
    finally:
        await end_tasks(poller)


class EcsLauncher:
    """One task for each attempt of a deployment, found again by ``startedBy`` and its tags."""

    outlives_server = True

    def __init__(self, client: Any, place: TaskPlace, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._place = place
        self._clock = clock
        self.watch = TaskWatch(self._describe, place.container, clock=clock)
        self._builds: dict[str, BuildID | None] = {}
        """By ARN, of the tasks that were listed last; None for one whose tags are not ours."""
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self._unseen_since: dict[BuildID, float] = {}
        self._pause_s = _FIRST_PAUSE_S
        self._no_room_until = float("-inf")

    async def launch(self, deployment_id: DeploymentID, environment: Mapping[str, str]) -> RunningBuild:
        request = task_request(self._place, environment)
        if failure := too_large(request):
            raise LaunchFailed(failure.message, failure)
        if (left_s := self._no_room_until - self._clock()) > 0:
            raise LaunchDelayed("ECS had no room a moment ago", timedelta(seconds=left_s))
        arn = await self._run_task(request)
        self._pause_s = _FIRST_PAUSE_S
        return TaskBuild(self, BuildID(deployment_id, int(environment["ATTEMPT"])), arn)

    async def resume(self, build: BuildID) -> RunningBuild | None:
        with _away():
            arn = await self._find(build)
        if arn is not None:
            self._unseen_since.pop(build, None)
            return TaskBuild(self, build, arn)
        now = self._clock()
        if now - self._unseen_since.setdefault(build, now) <= MISSING_S:
            raise LauncherAway("ECS lists no task for it, which may still come")
        # Those that another server has taken over are never asked for again.
        self._unseen_since = {one: at for one, at in self._unseen_since.items() if now - at <= MISSING_S}
        return None

    async def list_builds(self) -> Collection[BuildID]:
        """Those that are not told to stop: what has stopped leaves nothing to remove."""
        with _away():
            async with self._looking:
                listed = await self._look("RUNNING")
        return [build for arn in listed if (build := self._builds.get(arn)) is not None]

    async def remove(self, build: BuildID) -> None:
        with _away():
            for arn in [arn for arn, found in self._builds.items() if found == build]:
                await self.stop_task(arn, "No deployment needs it any more.")

    async def stop_task(self, arn: str, reason: str) -> None:
        """SIGTERM now, SIGKILL after the task definition's stopTimeout. Raises ``AWAY``."""
        try:
            await self._client.stop_task(cluster=self._place.cluster, task=arn, reason=reason)
        except ClientError as error:
            if "not found" not in error.response["Error"].get("Message", ""):
                raise

    async def _run_task(self, request: Mapping[str, Any]) -> str:
        try:
            answer = await self._client.run_task(**request)
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
            if code == "ConflictException" and (arns := error.response.get("resourceIds")):
                # An earlier launch of this attempt, whose answer was lost.
                return str(arns[0])
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status >= 500 or may_pass(code, message):
                raise self._delayed(str(error)) from error
            raise LaunchFailed(str(error), set_up_wrong()) from error
        except AWAY as error:
            # It may run all the same: the next launch of this attempt is given that task by its token.
            raise self._delayed(str(error) or type(error).__name__) from error
        if answer["tasks"]:
            return str(answer["tasks"][0]["taskArn"])
        failures = answer["failures"]
        said = ", ".join(f"{one.get('reason', '')} {one.get('detail', '')}".strip() for one in failures)
        if failures_may_pass(failures):
            raise self._delayed(said)
        raise LaunchFailed(f"RunTask: {said}", set_up_wrong())

    def _delayed(self, said: str) -> LaunchDelayed:
        after_s = self._pause_s * random.uniform(0.5, 1.0)  # noqa: S311
        self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2)
        self._no_room_until = self._clock() + after_s
        return LaunchDelayed(f"ECS starts no task now: {said}", timedelta(seconds=after_s))

    async def _find(self, build: BuildID) -> str | None:
        async with self._looking:
            if self._clock() - self._looked_at > _LOOK_S:
                await self._look("RUNNING", "STOPPED")
                self._looked_at = self._clock()
        return next((arn for arn, found in self._builds.items() if found == build), None)

    async def _look(self, *statuses: str) -> list[str]:
        """The ARNs of this installation's tasks of these ``statuses``; ``_builds`` has what they build."""
        listed: list[str] = []
        for status in statuses:
            pages = self._client.get_paginator("list_tasks").paginate(
                cluster=self._place.cluster, startedBy=self._place.started_by, desiredStatus=status
            )
            async for page in pages:
                listed += page["taskArns"]
        builds = {arn: self._builds[arn] for arn in listed if arn in self._builds}
        unknown = [arn for arn in listed if arn not in builds]
        for start in range(0, len(unknown), DESCRIBED_AT_ONCE):
            answer = await self._describe(unknown[start : start + DESCRIBED_AT_ONCE])
            for task in answer["tasks"]:
                builds[task["taskArn"]] = build_of(task, self._place.installation)
        self._builds = builds
        return listed

    async def _describe(self, arns: Sequence[str]) -> dict[str, Any]:
        answer = await self._client.describe_tasks(
            cluster=self._place.cluster, tasks=list(arns), include=["TAGS"]
        )
        return dict(answer)


class TaskBuild:
    """Follows the task ``arn`` by its launcher's poller."""

    def __init__(self, launcher: EcsLauncher, build: BuildID, arn: str) -> None:
        self._launcher = launcher
        self._build = build
        self._arn = arn
        self._end = launcher.watch.follow(arn)
        self._end.add_done_callback(self._tell)

    async def wait(self) -> int:
        return (await asyncio.shield(self._end)).status

    async def stop(self, *, canceled: bool = False) -> None:
        if self._end.done():
            return
        reason = "The deployment was canceled." if canceled else "The build is over or its time is up."
        try:
            await self._launcher.stop_task(self._arn, reason)
        except AWAY as error:
            logger.warning("the task of %s is stopped later: %s", self._build.deployment_id, error)
            return
        await asyncio.wait({self._end}, timeout=_STOP_WAIT_S)

    async def leave(self) -> None:
        self._launcher.watch.leave(self._arn, self._end)

    def explain(self) -> Failure | None:
        return explain(self._end.result()) if self._end.done() and not self._end.cancelled() else None

    def _tell(self, future: "asyncio.Future[TaskEnd]") -> None:
        if future.cancelled() or (end := future.result()).cause is Cause.EXITED:
            return
        level = logging.ERROR if end.cause is Cause.SET_UP_WRONG else logging.WARNING
        logger.log(
            level,
            "the task of %s ended (%s): %s [%s]",
            self._build.deployment_id,
            end.cause.value,
            end.said,
            self._arn,
        )


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except AWAY as error:
        raise LauncherAway(str(error) or type(error).__name__) from error
