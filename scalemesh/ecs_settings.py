"""What BUILDER=ecs needs of the settings. Pure."""

import re
from collections.abc import Mapping

_NEEDED = {
    "ECS_CLUSTER": "the cluster's name",
    "ECS_TASK_DEFINITION": "what `ecs-setup` prints",
    "S3_BUCKET": "tasks can't store sites on this machine's disk",
    "REDIS_URL": "tasks can't reach a Redis inside this machine",
    "REDIS_BUILDER_URL": "REDIS_URL of a user who may only write logs; docs/deploy-aws.md has its ACL",
}
_SHAPES = {
    "ECS_CLUSTER": (r"[A-Za-z0-9_-]{1,255}|arn:[\w-]+:ecs:\S+", "a name or an ARN"),
    "ECS_TASK_DEFINITION": (
        r"[A-Za-z0-9_-]{1,255}(:[0-9]+)?|arn:[\w-]+:ecs:\S+",
        "family, family:revision or an ARN",
    ),
    "ECS_SUBNETS": (r"subnet-[0-9a-f]+", "ids like subnet-0a1b2c3d"),
    "ECS_SECURITY_GROUPS": (r"sg-[0-9a-f]+", "ids like sg-0a1b2c3d"),
}


def mistakes_of_ecs(given: Mapping[str, tuple[str, ...]], *, launch_type: str) -> list[str]:
    """A line for each; ``given`` has the values by the environment's names.

    Tasks run elsewhere: all that they use is to be reached from there, with rights of their own.
    """
    mistakes = [
        f"{name}: BUILDER=ecs needs it: {what}" for name, what in _NEEDED.items() if not any(given[name])
    ]
    if not given["ECS_SUBNETS"] and launch_type != "EC2":
        mistakes.append("ECS_SUBNETS: Fargate needs it: one or more subnets of a VPC, subnet-…,subnet-…")
    mistakes += [
        f"{name}: give {form}, not {value}"
        for name, (pattern, form) in _SHAPES.items()
        for value in given[name]
        if value and not re.fullmatch(pattern, value)
    ]
    mistakes += [
        f"{name}: tasks of ECS can't reach a socket of this machine"
        for name in ("REDIS_URL", "REDIS_BUILDER_URL")
        if given[name][0].startswith("unix://")
    ]
    return mistakes
