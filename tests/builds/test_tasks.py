"""What is asked of ECS, compared whole, and what its answers mean."""

from typing import Any

import pytest

from scalemesh.builds.ecs_check import task_definition_mistakes
from scalemesh.builds.tasks import (
    Cause,
    TaskPlace,
    build_of,
    explain,
    failures_may_pass,
    may_pass,
    task_end,
    task_request,
    too_large,
)
from scalemesh.model import BuildID, DeploymentID

PLACE = TaskPlace(
    cluster="mesh",
    task_definition="builder:7",
    container="builder",
    subnets=("subnet-1", "subnet-2"),
    security_groups=("sg-1",),
    assign_public_ip=True,
    launch_type="FARGATE",
    installation="abc123",
)
ENVIRONMENT = {
    "projectID": "proj1",
    "GITHUB_REPO_URL": "https://git.example.com/ada/site.git",
    "DEPLOYMENT_ID": "dep1",
    "ATTEMPT": "2",
}


def place(**changes: Any) -> TaskPlace:
    return TaskPlace(**{name: getattr(PLACE, name) for name in TaskPlace.__slots__} | changes)


def test_the_whole_request() -> None:
    assert task_request(PLACE, ENVIRONMENT) == {
        "cluster": "mesh",
        "taskDefinition": "builder:7",
        "count": 1,
        "launchType": "FARGATE",
        "clientToken": "dep1-2",
        "startedBy": "scalemesh-abc123",
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": ["subnet-1", "subnet-2"],
                "securityGroups": ["sg-1"],
                "assignPublicIp": "ENABLED",
            }
        },
        "overrides": {
            "containerOverrides": [
                {
                    "name": "builder",
                    "environment": [
                        {"name": "ATTEMPT", "value": "2"},
                        {"name": "DEPLOYMENT_ID", "value": "dep1"},
                        {"name": "GITHUB_REPO_URL", "value": "https://git.example.com/ada/site.git"},
                        {"name": "projectID", "value": "proj1"},
                    ],
                }
            ]
        },
        "tags": [
            {"key": "scalemesh.installation", "value": "abc123"},
            {"key": "scalemesh.deployment", "value": "dep1"},
            {"key": "scalemesh.attempt", "value": "2"},
        ],
    }


def test_spot_is_a_capacity_provider_and_ec2_has_no_public_addresses() -> None:
    spot = task_request(place(launch_type="FARGATE_SPOT", assign_public_ip=False), ENVIRONMENT)
    assert spot["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    assert "launchType" not in spot
    assert spot["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "DISABLED"
    ec2 = task_request(place(launch_type="EC2", security_groups=()), ENVIRONMENT)
    assert ec2["launchType"] == "EC2"
    assert ec2["networkConfiguration"] == {"awsvpcConfiguration": {"subnets": ["subnet-1", "subnet-2"]}}
    assert "networkConfiguration" not in task_request(place(launch_type="EC2", subnets=()), ENVIRONMENT)


def test_variables_that_do_not_fit_are_the_users_to_shorten() -> None:
    assert too_large(task_request(PLACE, ENVIRONMENT)) is None
    failure = too_large(task_request(PLACE, ENVIRONMENT | {"BUILD_ENV": "ü" * 4100}))
    assert failure is not None
    assert failure.code == "variables_too_large"


def test_a_task_says_by_its_tags_which_build_it_is() -> None:
    task = {"tags": task_request(PLACE, ENVIRONMENT)["tags"]}
    assert build_of(task, "abc123") == BuildID(DeploymentID("dep1"), 2)
    assert build_of(task, "another") is None
    assert build_of({}, "abc123") is None


def task(status: str = "STOPPED", code: str = "", stopped: str = "", **container: Any) -> dict[str, Any]:
    return {
        "lastStatus": status,
        "stopCode": code,
        "stoppedReason": stopped,
        "containers": [{"name": "sidecar", "lastStatus": "RUNNING"}, {"name": "builder", **container}],
    }


EXITED = "EssentialContainerExited"
NOT_STARTED = "TaskFailedToStart"


@pytest.mark.parametrize(
    ("task", "cause", "status", "failure"),
    [
        (task("DEPROVISIONING", lastStatus="STOPPED", exitCode=0), Cause.EXITED, 0, None),
        (task(code=EXITED, exitCode=1), Cause.EXITED, 1, None),
        (task(code=EXITED, exitCode=2), Cause.EXITED, 2, None),
        (task(code=EXITED, exitCode=3), Cause.EXITED, 3, None),
        (task(code=EXITED, exitCode=137), Cause.OUT_OF_MEMORY, 137, "out_of_memory"),
        (
            task(code=EXITED, exitCode=1, reason="OutOfMemoryError: Container killed due to memory usage"),
            Cause.OUT_OF_MEMORY,
            137,
            "out_of_memory",
        ),
        (task(code="UserInitiated", exitCode=137), Cause.LOST, 137, None),
        (task(code="SpotInterruption", exitCode=3), Cause.LOST, 3, None),
        (task(code="TerminationNotice", exitCode=137), Cause.LOST, 137, None),
        (task(stopped="Host EC2 (instance i-0a1b) terminated."), Cause.LOST, 3, None),
        (task(code=NOT_STARTED, stopped="Capacity is unavailable at this time."), Cause.LOST, 3, None),
        (task(code=NOT_STARTED, stopped="Timeout waiting for network interface."), Cause.LOST, 3, None),
        (
            task(code=NOT_STARTED, stopped="CannotPullContainerError: manifest unknown"),
            Cause.SET_UP_WRONG,
            3,
            "builder_set_up_wrong",
        ),
        (
            task(code=NOT_STARTED, stopped="ResourceInitializationError: failed to create log stream"),
            Cause.SET_UP_WRONG,
            3,
            "builder_set_up_wrong",
        ),
        (
            task(code=NOT_STARTED, stopped="ECS was unable to assume the role arn:aws:iam::1:role/x"),
            Cause.SET_UP_WRONG,
            3,
            "builder_set_up_wrong",
        ),
    ],
)
def test_how_a_task_ended(task: dict[str, Any], cause: Cause, status: int, failure: str | None) -> None:
    end = task_end(task, "builder")
    assert end is not None
    assert (end.cause, end.status) == (cause, status)
    explained = explain(end)
    assert (explained and explained.code) == failure


@pytest.mark.parametrize("status", ["PROVISIONING", "PENDING", "RUNNING", "STOPPING"])
def test_a_task_whose_builder_may_still_run_has_not_ended(status: str) -> None:
    assert task_end(task(status, lastStatus="RUNNING"), "builder") is None
    assert task_end({"lastStatus": status}, "builder") is None


@pytest.mark.parametrize(
    ("code", "message", "passes"),
    [
        ("ThrottlingException", "Rate exceeded", True),
        ("ServerException", "", True),
        ("ClientException", "Capacity is unavailable at this time.", True),
        ("ClientException", "You've reached the limit on the number of tasks you can run concurrently", True),
        ("ClientException", "TaskDefinition is inactive", False),
        ("AccessDeniedException", "not authorized to perform: iam:PassRole", False),
        ("InvalidParameterException", "The subnet ID 'subnet-1' does not exist", False),
        ("ClusterNotFoundException", "Cluster not found.", False),
    ],
)
def test_what_run_task_refuses_may_pass_or_not(code: str, message: str, passes: bool) -> None:
    assert may_pass(code, message) is passes


def test_failures_of_run_task_may_pass_where_room_was_lacking() -> None:
    assert failures_may_pass([{"reason": "RESOURCE:MEMORY"}, {"reason": "AGENT"}])
    assert failures_may_pass([{"reason": "Capacity is unavailable at this time."}])
    assert not failures_may_pass([{"reason": "RESOURCE:CPU"}, {"reason": "ATTRIBUTE"}])


def test_a_task_definition_that_does_not_go_with_the_settings() -> None:
    fits = {
        "status": "ACTIVE",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": [{"name": "builder"}],
    }
    assert task_definition_mistakes(fits, PLACE) == []
    other = {"status": "INACTIVE", "networkMode": "bridge", "containerDefinitions": [{"name": "web"}]}
    mistakes = task_definition_mistakes(other, PLACE)
    assert [mistake.partition(":")[0] for mistake in mistakes] == [
        "ECS_CONTAINER_NAME",
        "ECS_TASK_DEFINITION",
        "ECS_LAUNCH_TYPE",
        "ECS_SUBNETS",
    ]
