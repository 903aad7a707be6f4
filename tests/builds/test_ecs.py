"""BUILDER=ecs on the bad days of ECS: what becomes of the deployment, by the real client over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from scalemesh.artifacts import DirectoryStore
from scalemesh.builds.ecs import CannotUseECS, EcsLauncher, open_ecs_client, open_ecs_launcher
from scalemesh.builds.launcher import LaunchDelayed, LauncherAway, LaunchFailed
from scalemesh.builds.tasks import TaskPlace, task_request
from scalemesh.db.deployments import request_cancel
from scalemesh.db.pool import Pool
from scalemesh.db.queue import Claim
from scalemesh.db.waiting import list_waiting
from scalemesh.model import BuildID, Deployment, DeploymentID, QueueLimits, WaitCause
from scalemesh.tasks import end_tasks
from tests.builds.fleet import Fleet
from tests.db.rows import Rows
from tests.parts.scripted_ecs import CLUSTER, LostAnswer, Refuse, ScriptedECS, scripted_ecs
from tests.parts.server import eventually

PLACE = TaskPlace(
    cluster=CLUSTER,
    task_definition="builder:1",
    container="builder",
    subnets=("subnet-1",),
    security_groups=(),
    assign_public_ip=True,
    launch_type="FARGATE",
    installation="abc123",
)
THROTTLED = Refuse("ThrottlingException", "Rate exceeded")
POLL_S = 0.05


@dataclass(slots=True)
class Clock:
    """A clock that stands still but for the test."""

    now_s: float = 0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def ecs() -> AsyncIterator[ScriptedECS]:
    async with scripted_ecs() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(ecs: ScriptedECS, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """The server's own client of ECS."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL_ECS": ecs.endpoint_url,
    }.items():
        monkeypatch.setenv(name, value)
    async with open_ecs_client() as opened:
        yield opened


@pytest.fixture
async def launcher(client: Any, clock: Clock) -> AsyncIterator[EcsLauncher]:
    launcher = EcsLauncher(client, PLACE, clock=clock)
    poller = asyncio.create_task(launcher.watch.run(POLL_S))
    yield launcher
    await end_tasks(poller)


@pytest.fixture
async def fleet(
    pool: Pool, rows: Rows, redis_url: str, tmp_path: Path, launcher: EcsLauncher
) -> AsyncIterator[Fleet[EcsLauncher]]:
    async with Redis.from_url(redis_url) as redis:
        yield Fleet(rows, redis, redis_url, DirectoryStore(tmp_path), launcher)


def environment(deployment_id: str = "dep1", attempt: int = 1) -> dict[str, str]:
    return {"DEPLOYMENT_ID": deployment_id, "ATTEMPT": str(attempt), "projectID": "proj1"}


async def started(ecs: ScriptedECS) -> str:
    """The ARN of the task that was started last."""
    await eventually(lambda: ecs.tasks)
    return list(ecs.tasks)[-1]


async def deployment(fleet: Fleet[EcsLauncher]) -> Deployment:
    return await fleet.rows.deployment(await fleet.rows.project())


async def seen(fleet: Fleet[EcsLauncher], deployment_id: DeploymentID, status: str) -> dict[str, Any]:
    row: dict[str, Any] = await eventually(
        lambda: fleet.rows.row(deployment_id), lambda row: row["status"] == status
    )
    return row


async def lost(fleet: Fleet[EcsLauncher], ecs: ScriptedECS) -> tuple[Claim, str]:
    """A deployment whose server is gone, and the task that it had started."""
    claim = await fleet.rows.building(await fleet.rows.project())
    arn = ecs.add_task(task_request(PLACE, environment(claim.deployment_id, claim.attempt)))
    await fleet.rows.lapse()
    return claim, arn


async def test_a_task_that_ends_well_goes_live(fleet: Fleet[EcsLauncher], ecs: ScriptedECS) -> None:
    queued = await deployment(fleet)
    async with fleet.dispatcher(concurrency=1).running():
        arn = await started(ecs)
        await fleet.publish_attempt(queued.project_id, queued.id)
        ecs.end(arn, "EssentialContainerExited", exit_code=0)
        await seen(fleet, queued.id, "ready")
    assert ecs.count("RunTask") == 1
    assert ecs.count("StopTask") == 0


@pytest.mark.parametrize(
    "trouble",
    [
        THROTTLED,
        Refuse("ServerException", status=500),
        Refuse("said by a proxy", status=502),
        Refuse("ClientException", "Capacity is unavailable at this time."),
        {"tasks": [], "failures": [{"arn": "arn", "reason": "RESOURCE:MEMORY"}]},
    ],
    ids=["throttled", "broken", "a proxy", "no capacity", "failures"],
)
async def test_without_room_a_deployment_waits_in_the_queue_and_is_then_built(
    fleet: Fleet[EcsLauncher], ecs: ScriptedECS, clock: Clock, trouble: Any
) -> None:
    queued = await deployment(fleet)
    # boto itself asks three times for what it takes for passing.
    ecs.trouble("RunTask", trouble, trouble, trouble)
    limits = QueueLimits(builds=1, builds_per_user=1)
    async with fleet.dispatcher(concurrency=1).running():
        await eventually(lambda: ecs.count("RunTask"))
        row = await seen(fleet, queued.id, "queued")
        assert (row["attempt"], row["started_at"], row["deadline_at"]) == (0, None, None)

        async def cause() -> WaitCause | None:
            """None in the moments in which it is tried again."""
            waiting = await list_waiting(fleet.rows.pool, [queued.id], limits)
            return waiting[queued.id].cause if waiting else None

        await eventually(cause, lambda cause: cause is WaitCause.ROOM)
        ecs.troubles.clear()
        clock.now_s += 60
        await fleet.rows.pool.execute("UPDATE deployments SET retry_at = now()")
        arn = await started(ecs)
        await fleet.publish_attempt(queued.project_id, queued.id)
        ecs.end(arn, "EssentialContainerExited", exit_code=0)
        row = await seen(fleet, queued.id, "ready")
    assert row["attempt"] == 1


async def test_while_ecs_has_no_room_it_is_not_asked_again_for_every_deployment(
    launcher: EcsLauncher, ecs: ScriptedECS, clock: Clock
) -> None:
    full = {"tasks": [], "failures": [{"reason": "RESOURCE:CPU"}]}
    ecs.trouble("RunTask", full, full)
    for _ in range(5):
        with pytest.raises(LaunchDelayed) as delayed:
            await launcher.launch(DeploymentID("dep1"), environment())
        assert timedelta(0) < delayed.value.after <= timedelta(seconds=2)
    assert ecs.count("RunTask") == 1
    clock.now_s += 2
    with pytest.raises(LaunchDelayed) as delayed:
        await launcher.launch(DeploymentID("dep1"), environment())
    assert delayed.value.after >= timedelta(seconds=2)


async def test_a_lost_answer_never_starts_two(fleet: Fleet[EcsLauncher], ecs: ScriptedECS) -> None:
    queued = await deployment(fleet)
    ecs.trouble("RunTask", LostAnswer())
    async with fleet.dispatcher(concurrency=1).running():
        arn = await started(ecs)
        await fleet.publish_attempt(queued.project_id, queued.id)
        ecs.end(arn, "EssentialContainerExited", exit_code=0)
        await seen(fleet, queued.id, "ready")
    assert ecs.count("RunTask") == 2
    assert len(ecs.tasks) == 1


async def test_a_later_launch_of_the_attempt_is_given_the_task_whose_answer_was_lost(
    launcher: EcsLauncher, ecs: ScriptedECS, clock: Clock
) -> None:
    ecs.trouble("RunTask", LostAnswer(), LostAnswer(), LostAnswer())
    with pytest.raises(LaunchDelayed):
        await launcher.launch(DeploymentID("dep1"), environment())
    clock.now_s += 2
    running = await launcher.launch(DeploymentID("dep1"), environment() | {"BUILD_DEADLINE": "another"})
    [arn] = ecs.tasks
    ecs.end(arn, "EssentialContainerExited", exit_code=0)
    assert await running.wait() == 0


async def test_what_is_set_up_wrong_fails_at_once_with_a_code(
    fleet: Fleet[EcsLauncher], ecs: ScriptedECS, caplog: pytest.LogCaptureFixture
) -> None:
    queued = await deployment(fleet)
    ecs.trouble("RunTask", Refuse("AccessDeniedException", "not authorized to perform: iam:PassRole"))
    async with fleet.dispatcher(concurrency=1).running():
        row = await seen(fleet, queued.id, "failed")
    assert (row["error_code"], row["attempt"]) == ("builder_set_up_wrong", 1)
    assert "iam:PassRole" in caplog.text


Ending = Callable[[ScriptedECS, str], None]


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        (
            lambda ecs, arn: ecs.end(arn, "EssentialContainerExited", exit_code=137),
            "failed",
            "out_of_memory",
        ),
        (
            lambda ecs, arn: ecs.end(arn, "TaskFailedToStart", stopped="CannotPullContainerError: none"),
            "failed",
            "builder_set_up_wrong",
        ),
        (lambda ecs, arn: ecs.end(arn, "SpotInterruption", exit_code=143), "queued", None),
        (lambda ecs, arn: ecs.end(arn, "", stopped="Host EC2 terminated."), "queued", None),
    ],
    ids=["memory", "image", "spot", "host"],
)
async def test_how_a_task_ends_decides_what_follows(
    fleet: Fleet[EcsLauncher], ecs: ScriptedECS, end: Ending, status: str, code: str | None
) -> None:
    claim, arn = await lost(fleet, ecs)
    async with fleet.dispatcher().running():
        await fleet.taken(claim)
        end(ecs, arn)
        row = await seen(fleet, claim.deployment_id, status)
    assert (row["error_code"], row["attempt"]) == (code, 1)


async def test_missing_then_running_is_followed(fleet: Fleet[EcsLauncher], ecs: ScriptedECS) -> None:
    queued = await deployment(fleet)
    async with fleet.dispatcher(concurrency=1).running():
        arn = await started(ecs)
        ecs.hidden.add(arn)
        looks = ecs.count("DescribeTasks")
        await eventually(lambda: ecs.count("DescribeTasks") > looks + 2)
        assert await fleet.rows.status(queued.id) == "building"
        ecs.hidden.clear()
        await fleet.publish_attempt(queued.project_id, queued.id)
        ecs.end(arn, "EssentialContainerExited", exit_code=0)
        row = await seen(fleet, queued.id, "ready")
    assert row["attempt"] == 1


async def test_missing_for_longer_than_a_minute_is_lost(
    fleet: Fleet[EcsLauncher], ecs: ScriptedECS, clock: Clock
) -> None:
    claim, arn = await lost(fleet, ecs)
    async with fleet.dispatcher().running():
        await fleet.taken(claim)
        await eventually(lambda: ecs.count("DescribeTasks") > 1)
        ecs.hidden.add(arn)
        looks = ecs.count("DescribeTasks")
        await eventually(lambda: ecs.count("DescribeTasks") > looks + 1)
        clock.now_s += 61
        await seen(fleet, claim.deployment_id, "queued")


async def test_one_that_stopped_during_our_downtime_is_concluded(
    fleet: Fleet[EcsLauncher], ecs: ScriptedECS
) -> None:
    claim, arn = await lost(fleet, ecs)
    ecs.end(arn, "EssentialContainerExited", exit_code=0)
    await fleet.publish(claim)
    async with fleet.dispatcher().running():
        await fleet.until(claim, "ready")


async def test_one_that_ecs_has_forgotten_during_our_downtime_is_concluded_by_its_log(
    fleet: Fleet[EcsLauncher], ecs: ScriptedECS, clock: Clock
) -> None:
    claim, arn = await lost(fleet, ecs)
    del ecs.tasks[arn]
    await fleet.publish(claim)
    async with fleet.dispatcher().running():
        await fleet.taken(claim)
        assert await fleet.rows.status(claim.deployment_id) == "building"

        async def a_minute_later() -> str:
            clock.now_s += 61
            await fleet.rows.lapse()
            return str(await fleet.rows.status(claim.deployment_id))

        await eventually(a_minute_later, lambda status: status == "ready")


async def test_a_cancel_stops_the_task(fleet: Fleet[EcsLauncher], ecs: ScriptedECS) -> None:
    project = await fleet.rows.project()
    queued = await fleet.rows.deployment(project)
    async with fleet.dispatcher(concurrency=1).running():
        arn = await started(ecs)
        # The first try is lost to a throttle, and its retries by boto.
        ecs.trouble("StopTask", THROTTLED, THROTTLED, THROTTLED)
        await request_cancel(fleet.rows.pool, queued.id, project.user_id)
        await seen(fleet, queued.id, "canceled")
    assert ecs.tasks[arn]["stoppedReason"] == "The deployment was canceled."


async def test_a_server_that_ends_leaves_the_task_to_the_next(
    fleet: Fleet[EcsLauncher], ecs: ScriptedECS
) -> None:
    queued = await deployment(fleet)
    async with fleet.dispatcher(concurrency=1).running():
        arn = await started(ecs)
    assert ecs.count("StopTask") == 0
    async with fleet.dispatcher().running():
        await fleet.publish_attempt(queued.project_id, queued.id)
        ecs.end(arn, "EssentialContainerExited", exit_code=0)
        row = await seen(fleet, queued.id, "ready")
    assert row["attempt"] == 1


async def test_tasks_that_no_deployment_needs_are_stopped_and_others_left(
    fleet: Fleet[EcsLauncher], ecs: ScriptedECS
) -> None:
    claim = await fleet.rows.building(await fleet.rows.project())
    wanted = ecs.add_task(task_request(PLACE, environment(claim.deployment_id, claim.attempt)))
    nobodys = ecs.add_task(task_request(PLACE, environment("nobodys")))
    anothers = ecs.add_task(task_request(PLACE, environment("another")) | {"startedBy": "somebody"})
    async with fleet.dispatcher().running():
        await eventually(lambda: ecs.tasks[nobodys]["lastStatus"] == "STOPPED")
    assert {ecs.tasks[arn]["lastStatus"] for arn in (wanted, anothers)} == {"PROVISIONING"}


async def test_five_hundred_running_tasks_cost_five_calls_a_sweep(
    client: Any, ecs: ScriptedECS, clock: Clock
) -> None:
    names = [f"dep{n}" for n in range(500)]
    for name in names:
        ecs.add_task(task_request(PLACE, environment(name)))
    launcher = EcsLauncher(client, PLACE, clock=clock)
    for name in names:
        assert await launcher.resume(BuildID(DeploymentID(name), 1))
    assert calls(ecs) == ["ListTasks"] * 6 + ["DescribeTasks"] * 5
    await launcher.watch.sweep()
    assert calls(ecs) == ["DescribeTasks"] * 5
    assert len(await launcher.list_builds()) == 500
    assert calls(ecs) == ["ListTasks"] * 5


def calls(ecs: ScriptedECS) -> list[str]:
    """Since they were asked for last."""
    made = [action for action, _ in ecs.calls]
    ecs.calls.clear()
    return made


async def test_a_cluster_that_does_not_answer_is_away(launcher: EcsLauncher, ecs: ScriptedECS) -> None:
    ecs.trouble("ListTasks", *[THROTTLED] * 6)
    with pytest.raises(LauncherAway):
        await launcher.list_builds()
    with pytest.raises(LauncherAway):
        await launcher.resume(BuildID(DeploymentID("dep1"), 1))


async def test_variables_that_are_too_large_are_told_before_ecs_is_asked(
    launcher: EcsLauncher, ecs: ScriptedECS
) -> None:
    with pytest.raises(LaunchFailed) as failed:
        await launcher.launch(DeploymentID("dep1"), environment() | {"BUILD_ENV": "x" * 9000})
    assert failed.value.failure is not None
    assert failed.value.failure.code == "variables_too_large"
    assert ecs.calls == []


async def test_what_ecs_lacks_is_told_together_before_the_server_listens(
    client: Any, ecs: ScriptedECS
) -> None:
    """``client`` is for its environment."""
    ecs.trouble("DescribeClusters", {"clusters": [], "failures": [{"reason": "MISSING"}]})
    ecs.trouble("DescribeTaskDefinition", Refuse("ClientException", "Unable to describe task definition."))
    with pytest.raises(CannotUseECS, match=r"(?s)ECS_CLUSTER: there is no.*ECS_TASK_DEFINITION: there is no"):
        async with open_ecs_launcher(PLACE):
            pass
    ecs.trouble("DescribeClusters", *[Refuse("ServerException", status=500)] * 3)
    async with open_ecs_launcher(PLACE) as started_all_the_same:
        assert started_all_the_same.outlives_server
