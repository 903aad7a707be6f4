"""What is asked of ECS for one build, and what its answers mean. Pure: ``ecs`` asks.

The names of stop codes and reasons are those of the ECS API reference (``Task``, ``RunTask``) and of its
developer guide ("Stopped tasks error codes").
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from scalemesh.model import BuildID, DeploymentID, Failure

INSTALLATION = "scalemesh.installation"
DEPLOYMENT = "scalemesh.deployment"
ATTEMPT = "scalemesh.attempt"

OVERRIDES_BYTES = 8192
"""ECS's limit for all overrides of a task together, as JSON."""

# The builder's own status for infrastructure: what a task that left none of its own came to.
_LOST = 3
_KILLED = 137

# Their first word: what the operator has set up wrong, and what another try would meet again.
_SET_UP_WRONG = ("CannotPull", "CannotCreateContainer", "ResourceInitializationError", "CannotCreateVolume")

_PASSING_CODES = frozenset(
    {
        "LimitExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServerException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# In the sentences of other codes, and of what RunTask calls failures.
_PASSING_WORDS = ("capacity", "concurrent", "limit on the number of tasks", "rate exceeded")
_PASSING_FAILURES = ("RESOURCE", "AGENT")


@dataclass(frozen=True, slots=True)
class TaskPlace:
    """What is the same for every task of this server."""

    cluster: str
    task_definition: str
    container: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    assign_public_ip: bool
    launch_type: Literal["FARGATE", "FARGATE_SPOT", "EC2"]
    installation: str

    @property
    def started_by(self) -> str:
        """By which all tasks of this installation, and no others, are listed."""
        return f"scalemesh-{self.installation}"


def client_token(build: BuildID) -> str:
    """ECS starts one task for it, however often it is asked to within a day."""
    return f"{build.deployment_id}-{build.attempt}"


def task_request(place: TaskPlace, environment: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of ``RunTask``; ``environment`` is the builder contract's."""
    build = BuildID(DeploymentID(environment["DEPLOYMENT_ID"]), int(environment["ATTEMPT"]))
    variables = [{"name": name, "value": value} for name, value in sorted(environment.items())]
    request: dict[str, Any] = {
        "cluster": place.cluster,
        "taskDefinition": place.task_definition,
        "count": 1,
        "clientToken": client_token(build),
        "startedBy": place.started_by,
        "overrides": {"containerOverrides": [{"name": place.container, "environment": variables}]},
        "tags": [
            {"key": INSTALLATION, "value": place.installation},
            {"key": DEPLOYMENT, "value": build.deployment_id},
            {"key": ATTEMPT, "value": str(build.attempt)},
        ],
    }
    if place.launch_type == "FARGATE_SPOT":
        request["capacityProviderStrategy"] = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    else:
        request["launchType"] = place.launch_type
    if place.subnets:
        network: dict[str, Any] = {"subnets": list(place.subnets)}
        if place.security_groups:
            network["securityGroups"] = list(place.security_groups)
        if place.launch_type != "EC2":  # where ECS refuses the word
            network["assignPublicIp"] = "ENABLED" if place.assign_public_ip else "DISABLED"
        request["networkConfiguration"] = {"awsvpcConfiguration": network}
    return request


def too_large(request: Mapping[str, Any]) -> Failure | None:
    """The user's failure where the project's variables do not fit into a task's overrides."""
    size = len(json.dumps(request["overrides"], separators=(",", ":"), ensure_ascii=False).encode())
    if size <= OVERRIDES_BYTES:
        return None
    return Failure(
        code="variables_too_large",
        message=f"The project's variables and commands are {size - OVERRIDES_BYTES:,} bytes more than a "
        "build can be given.",
        hint="Shorten them, for example by keeping large values in files of the repository.",
    )


def build_of(task: Mapping[str, Any], installation: str) -> BuildID | None:
    """The build that a task's tags name; None for another's task."""
    tags = {tag["key"]: tag["value"] for tag in task.get("tags", ())}
    if tags.get(INSTALLATION) != installation or not tags.get(ATTEMPT, "").isdecimal():
        return None
    return BuildID(DeploymentID(tags.get(DEPLOYMENT, "")), int(tags[ATTEMPT]))


class Cause(Enum):
    EXITED = "exited"
    """By itself, with the status that the builder's contract has words for."""
    OUT_OF_MEMORY = "out of memory"
    SET_UP_WRONG = "set up wrong"
    """It never ran, and never will before somebody changes the image, a role or the network."""
    LOST = "lost"
    """Stopped from outside, interrupted on Spot, its host gone, never started, or forgotten by ECS."""


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """``said`` is ECS's own sentence, for the operator."""

    cause: Cause
    status: int
    said: str


FORGOTTEN = TaskEnd(Cause.LOST, _LOST, "ECS knows nothing of the task any more.")


def task_end(task: Mapping[str, Any], container: str) -> TaskEnd | None:
    """How a task of ``DescribeTasks`` ended; None while its builder may still run.

    The container is looked at as well: its end is told tens of seconds before the task's.
    """
    found = _container(task, container)
    if task.get("lastStatus") != "STOPPED" and found.get("lastStatus") != "STOPPED":
        return None
    code = task.get("stopCode", "")
    reasons = [text for text in (found.get("reason", ""), task.get("stoppedReason", "")) if text]
    said = " ".join(reasons) or code or "ECS gave no reason."
    status = found.get("exitCode")
    if any(reason.startswith("OutOfMemory") for reason in reasons):
        return TaskEnd(Cause.OUT_OF_MEMORY, _KILLED, said)
    if status is None:
        wrong = any(reason.startswith(_SET_UP_WRONG) or "assume" in reason for reason in reasons)
        return TaskEnd(Cause.SET_UP_WRONG if wrong else Cause.LOST, _LOST, said)
    if code in ("SpotInterruption", "TerminationNotice", "UserInitiated", "ServiceSchedulerInitiated"):
        return TaskEnd(Cause.LOST, status, said)
    if status == _KILLED and code == "EssentialContainerExited":
        # Nobody but the kernel sends SIGKILL to a task that nobody stops.
        return TaskEnd(Cause.OUT_OF_MEMORY, status, said)
    return TaskEnd(Cause.EXITED, status, said)


def explain(end: TaskEnd) -> Failure | None:
    """What the builder could not write down itself; None where trying again may help or its log says all."""
    match end.cause:
        case Cause.OUT_OF_MEMORY:
            return Failure(
                code="out_of_memory",
                message="The build needed more memory than its task has.",
                hint="Make the build need less memory, for example without source maps or with fewer "
                "parallel workers. Whoever runs this server can give tasks more: `ecs-setup --memory`.",
            )
        case Cause.SET_UP_WRONG:
            return set_up_wrong()
        case _:
            return None


def set_up_wrong() -> Failure:
    """For the person who deployed. The operator has the cause in the server's log."""
    return Failure(
        code="builder_set_up_wrong",
        message="The builder could not be started, because of how this server is set up.",
        hint="This is not your project's fault. Whoever runs this server finds the cause in its log, and by "
        "`python scalemesh.py doctor`.",
    )


def may_pass(code: str, message: str) -> bool:
    """Whether what RunTask refused with ``code`` may be granted later: throttled, busy, no capacity."""
    return code in _PASSING_CODES or any(word in message.lower() for word in _PASSING_WORDS)


def failures_may_pass(failures: Iterable[Mapping[str, Any]]) -> bool:
    """The same of the ``failures`` of an answer of RunTask, where nothing was started."""
    return all(
        failure.get("reason", "").startswith(_PASSING_FAILURES)
        or any(
            word in f"{failure.get('reason', '')} {failure.get('detail', '')}".lower()
            for word in _PASSING_WORDS
        )
        for failure in failures
    )


def _container(task: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    containers = task.get("containers", ())
    return next((one for one in containers if one.get("name") == name), {})
