"""Whether ECS has what the settings name, told with the fix."""

from typing import Any

from botocore.exceptions import ClientError, NoCredentialsError

from scalemesh.builds.tasks import TaskPlace

_REFUSED = (
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "ExpiredTokenException",
)


async def find_mistakes(client: Any, place: TaskPlace) -> list[str]:
    """A line for each. Raises what boto does where ECS does not answer."""
    try:
        return [*await _of_cluster(client, place), *await _of_task_definition(client, place)]
    except NoCredentialsError:
        return ["AWS_ACCESS_KEY_ID: there are no credentials for ECS: set the key, a profile, or a role"]


async def find_network_mistakes(ec2: Any, place: TaskPlace) -> list[str]:
    """The same of subnets and security groups, as far as they may be looked at. For ``doctor``."""
    try:
        if place.subnets:
            await ec2.describe_subnets(SubnetIds=list(place.subnets))
        if place.security_groups:
            await ec2.describe_security_groups(GroupIds=list(place.security_groups))
    except ClientError as error:
        said = error.response["Error"]
        match said["Code"]:
            case "InvalidSubnetID.NotFound" | "InvalidSubnetID.Malformed":
                return [f"ECS_SUBNETS: {said['Message']}"]
            case "InvalidGroup.NotFound" | "InvalidGroupId.Malformed" | "InvalidGroupId.NotFound":
                return [f"ECS_SECURITY_GROUPS: {said['Message']}"]
            case "UnauthorizedOperation":
                # The server itself never looks at them, so it need not be allowed to.
                return []
        raise
    return []


async def _of_cluster(client: Any, place: TaskPlace) -> list[str]:
    try:
        answer = await client.describe_clusters(clusters=[place.cluster])
    except ClientError as error:
        return [_refused("ECS_CLUSTER", "ecs:DescribeClusters", error)]
    found = next(iter(answer["clusters"]), None)
    if found is None:
        where = "in this account and region (AWS_DEFAULT_REGION)"
        return [f"ECS_CLUSTER: there is no cluster {place.cluster} {where}"]
    if found["status"] != "ACTIVE":
        return [f"ECS_CLUSTER: the cluster {place.cluster} is {found['status']}, not ACTIVE"]
    return []


async def _of_task_definition(client: Any, place: TaskPlace) -> list[str]:
    try:
        answer = await client.describe_task_definition(taskDefinition=place.task_definition)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ClientException":
            name = place.task_definition
            return [f"ECS_TASK_DEFINITION: there is no {name}: run `python scalemesh.py ecs-setup`"]
        return [_refused("ECS_TASK_DEFINITION", "ecs:DescribeTaskDefinition", error)]
    return task_definition_mistakes(answer["taskDefinition"], place)


def task_definition_mistakes(definition: dict[str, Any], place: TaskPlace) -> list[str]:
    """What in ``definition`` does not go with the settings. Pure."""
    mistakes = []
    containers = [one["name"] for one in definition["containerDefinitions"]]
    if place.container not in containers:
        mistakes.append(
            f"ECS_CONTAINER_NAME: {place.task_definition} has no container {place.container}, "
            f"but {', '.join(containers)}"
        )
    if definition.get("status", "ACTIVE") != "ACTIVE":
        mistakes.append(f"ECS_TASK_DEFINITION: {place.task_definition} is {definition['status']}, not ACTIVE")
    if place.launch_type != "EC2" and "FARGATE" not in definition.get("requiresCompatibilities", ()):
        mistakes.append(f"ECS_LAUNCH_TYPE: {place.task_definition} is not for Fargate: set EC2")
    if bool(place.subnets) != (definition.get("networkMode") == "awsvpc"):
        need = "needs" if not place.subnets else "takes no"
        mistakes.append(f"ECS_SUBNETS: {place.task_definition}, by its network mode, {need} subnets")
    return mistakes


def _refused(setting: str, action: str, error: ClientError) -> str:
    said = error.response["Error"]
    if said["Code"] not in _REFUSED:
        raise error
    return f"{setting}: can't be looked at ({said['Code']}): allow the server's credentials {action}"
