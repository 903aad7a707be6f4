"""What each thing in the account is to be like. Pure: ``parts`` asks AWS for it."""

import json
from dataclasses import dataclass
from typing import Any

TAG = "scalemesh"
"""On everything that is made here, with the name as its value: what ``--destroy`` goes by."""

CONTAINER = "builder"
KEEP_LOGS_DAYS = 14
"""Only what the builder itself says; the logs of builds are in the bucket."""

STOP_TIMEOUT_S = 10
"""The builder is gone 5 s after SIGTERM."""

ABORTED_UPLOAD_DAYS = 1
"""Parts of an archive whose upload was broken off are paid for and seen by nobody."""

_OPEN_FILES = 8192
# Of a container's usual ones the builder needs CHOWN, DAC_OVERRIDE, KILL, SETGID, SETPCAP and SETUID (see
# ``scalemesh.builds.containers``).
_DROPPED = (
    "AUDIT_WRITE",
    "FOWNER",
    "FSETID",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SYS_CHROOT",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """``cpu`` in ECS's units (1024 a processor), ``memory_mib`` of the whole task."""

    name: str
    account: str
    region: str
    bucket: str
    cpu: int
    memory_mib: int

    @property
    def repository(self) -> str:
        return f"{self.name}-builder"

    @property
    def repository_uri(self) -> str:
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com/{self.repository}"

    @property
    def log_group(self) -> str:
        return f"/{self.name}/builder"

    @property
    def execution_role(self) -> str:
        return f"{self.name}-builder-execution"

    @property
    def task_role(self) -> str:
        return f"{self.name}-builder-task"

    @property
    def family(self) -> str:
        return f"{self.name}-builder"

    def role_arn(self, role: str) -> str:
        return f"arn:aws:iam::{self.account}:role/{role}"


def trust_policy(wanted: Wanted) -> str:
    """Tasks of this account may have the role, and nobody else."""
    return _policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": wanted.account}},
        }
    )


def execution_policy(wanted: Wanted) -> str:
    """What ECS itself does before the builder runs: pull the one image, write to the one log group."""
    return _policy(
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
            ],
            "Resource": f"arn:aws:ecr:{wanted.region}:{wanted.account}:repository/{wanted.repository}",
        },
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"arn:aws:logs:{wanted.region}:{wanted.account}:log-group:{wanted.log_group}:*",
        },
    )


def task_definition(wanted: Wanted, image: str) -> dict[str, Any]:
    """The arguments of ``RegisterTaskDefinition``. ``image`` is by digest, so it stays what it was."""
    return {
        "family": wanted.family,
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": str(wanted.cpu),
        "memory": str(wanted.memory_mib),
        "executionRoleArn": wanted.role_arn(wanted.execution_role),
        "taskRoleArn": wanted.role_arn(wanted.task_role),
        "containerDefinitions": [
            {
                "name": CONTAINER,
                "image": image,
                "essential": True,
                "memory": wanted.memory_mib,
                "stopTimeout": STOP_TIMEOUT_S,
                "ulimits": [{"name": "nofile", "softLimit": _OPEN_FILES, "hardLimit": _OPEN_FILES}],
                "linuxParameters": {"capabilities": {"drop": list(_DROPPED)}},
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {
                        "awslogs-group": wanted.log_group,
                        "awslogs-region": wanted.region,
                        "awslogs-stream-prefix": "build",
                    },
                },
            }
        ],
    }


BLOCKED = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
ENCRYPTION = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
LIFECYCLE = {
    "Rules": [
        {
            "ID": "aborted uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABORTED_UPLOAD_DAYS},
        }
    ]
}


def covers(found: Any, wanted: Any) -> bool:
    """Whether ``found`` has all of ``wanted``; AWS adds defaults of its own to what it is given."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(covers(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(covers(one, other) for one, other in zip(found, wanted, strict=True))
        )
    return bool(found == wanted)


def exports(wanted: Wanted, subnets: list[str]) -> list[str]:
    """Lines for a shell."""
    return [
        "export BUILDER=ecs",
        f"export AWS_DEFAULT_REGION={wanted.region}",
        f"export S3_BUCKET={wanted.bucket}",
        f"export ECS_CLUSTER={wanted.name}",
        f"export ECS_TASK_DEFINITION={wanted.family}",
        f"export ECS_CONTAINER_NAME={CONTAINER}",
        f"export ECS_SUBNETS={','.join(subnets) or 'subnet-…  # with a way out to the internet'}",
        "export ECS_ASSIGN_PUBLIC_IP=1  # 0 in subnets whose way out is a NAT gateway",
        f"export BUILD_MEMORY_MIB={builder_memory_mib(wanted.memory_mib)}",
    ]


def builder_memory_mib(task_memory_mib: int) -> int:
    """What the user's commands may have; the builder itself compresses beside them."""
    return task_memory_mib - max(512, task_memory_mib // 5)


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
