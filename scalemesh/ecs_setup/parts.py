"""The things in the account, each found by its name, made with its tag, and removed again."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scalemesh.ecs_setup.requests import (
    BLOCKED,
    ENCRYPTION,
    KEEP_LOGS_DAYS,
    LIFECYCLE,
    TAG,
    Wanted,
    covers,
    execution_policy,
    task_definition,
    trust_policy,
)

Tags = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """``find`` gives the tags of what is there, or None; ``make`` and ``remove`` do one step."""

    what: str
    find: Callable[[], Awaitable[Tags | None]]
    make: Callable[[], Awaitable[object]]
    remove: Callable[[], Awaitable[object]]


class Account:
    """boto's clients by their service, and what is wanted of them."""

    def __init__(self, clients: Mapping[str, Any], wanted: Wanted) -> None:
        self._clients = clients
        self.wanted = wanted

    def parts(self, image: str | None) -> list[Part]:
        """In the order in which they are made. Without an image there can be no task definition."""
        wanted = self.wanted
        parts = [
            Part(
                f"ECR repository {wanted.repository}",
                self._find_repository,
                self._make_repository,
                lambda: self._clients["ecr"].delete_repository(repositoryName=wanted.repository, force=True),
            ),
            Part(
                f"ECS cluster {wanted.name}",
                self._find_cluster,
                self._make_cluster,
                lambda: self._clients["ecs"].delete_cluster(cluster=wanted.name),
            ),
            Part(
                f"log group {wanted.log_group}, kept for {KEEP_LOGS_DAYS} days",
                self._find_log_group,
                self._make_log_group,
                lambda: self._clients["logs"].delete_log_group(logGroupName=wanted.log_group),
            ),
            self._role(wanted.execution_role, "pulls the image and writes the log", execution_policy(wanted)),
            self._role(wanted.task_role, "has no permission", None),
            Part(
                f"S3 bucket {wanted.bucket}, encrypted, without public access",
                self._find_bucket,
                self._make_bucket,
                lambda: self._clients["s3"].delete_bucket(Bucket=wanted.bucket),
            ),
        ]
        if image is not None:
            parts.append(self._task_definition(image))
        return parts

    def every_part(self) -> list[Part]:
        """As ``parts``, whatever the task definition's image is."""
        return [*self.parts(None), self._task_definition("")]

    async def newest_image(self) -> str | None:
        """``{repository}@{digest}`` of what was pushed last; None where nothing was."""
        try:
            pages = self._clients["ecr"].get_paginator("describe_images")
            images = [
                image
                async for page in pages.paginate(repositoryName=self.wanted.repository)
                for image in page["imageDetails"]
                if image.get("imageTags")
            ]
        except ClientError as error:
            _check_it_is(error, "RepositoryNotFoundException")
            return None
        if not images:
            return None
        newest = max(images, key=lambda image: image["imagePushedAt"])
        return f"{self.wanted.repository_uri}@{newest['imageDigest']}"

    async def default_subnets(self) -> list[str]:
        """Those of the default VPC; none where there is none or it may not be looked at."""
        filters = [{"Name": "default-for-az", "Values": ["true"]}]
        try:
            answer = await self._clients["ec2"].describe_subnets(Filters=filters)
        except ClientError:
            return []
        return sorted(subnet["SubnetId"] for subnet in answer["Subnets"])

    def _task_definition(self, image: str) -> Part:
        wanted, ecs = self.wanted, self._clients["ecs"]
        definition = task_definition(wanted, image) if image else {}
        size = f"{wanted.cpu / 1024:g} vCPU, {wanted.memory_mib} MiB, {image.rpartition('@')[2][:19]}"
        return Part(
            f"task definition {wanted.family}" + (f": {size}" if image else ""),
            lambda: self._find_task_definition(definition),
            lambda: ecs.register_task_definition(**definition, tags=_ecs(wanted)),
            self._remove_task_definitions,
        )

    def _role(self, name: str, purpose: str, policy: str | None) -> Part:
        iam = self._clients["iam"]

        async def find() -> Tags | None:
            try:
                role = (await iam.get_role(RoleName=name))["Role"]
            except ClientError as error:
                _check_it_is(error, "NoSuchEntity")
                return None
            return {tag["Key"]: tag["Value"] for tag in role.get("Tags", ())}

        async def make() -> None:
            await iam.create_role(
                RoleName=name, AssumeRolePolicyDocument=trust_policy(self.wanted), Tags=_iam(self.wanted)
            )
            if policy is not None:
                await iam.put_role_policy(RoleName=name, PolicyName="builder", PolicyDocument=policy)

        async def remove() -> None:
            if policy is not None:
                await iam.delete_role_policy(RoleName=name, PolicyName="builder")
            await iam.delete_role(RoleName=name)

        return Part(f"IAM role {name}, which {purpose}", find, make, remove)

    async def _find_repository(self) -> Tags | None:
        ecr = self._clients["ecr"]
        try:
            found = await ecr.describe_repositories(repositoryNames=[self.wanted.repository])
            arn = found["repositories"][0]["repositoryArn"]
            answer = await ecr.list_tags_for_resource(resourceArn=arn)
        except ClientError as error:
            _check_it_is(error, "RepositoryNotFoundException")
            return None
        return {tag["Key"]: tag["Value"] for tag in answer["tags"]}

    async def _make_repository(self) -> None:
        await self._clients["ecr"].create_repository(
            repositoryName=self.wanted.repository,
            imageScanningConfiguration={"scanOnPush": True},
            tags=_iam(self.wanted),
        )

    async def _find_cluster(self) -> Tags | None:
        answer = await self._clients["ecs"].describe_clusters(clusters=[self.wanted.name], include=["TAGS"])
        for cluster in answer["clusters"]:
            if cluster["status"] == "ACTIVE":
                return {tag["key"]: tag["value"] for tag in cluster.get("tags", ())}
        return None

    async def _make_cluster(self) -> None:
        await self._clients["ecs"].create_cluster(
            clusterName=self.wanted.name,
            capacityProviders=["FARGATE", "FARGATE_SPOT"],
            tags=_ecs(self.wanted),
        )

    async def _find_log_group(self) -> Tags | None:
        logs, name = self._clients["logs"], self.wanted.log_group
        answer = await logs.describe_log_groups(logGroupNamePrefix=name)
        if not any(group["logGroupName"] == name for group in answer["logGroups"]):
            return None
        arn = f"arn:aws:logs:{self.wanted.region}:{self.wanted.account}:log-group:{name}"
        tags: Tags = (await logs.list_tags_for_resource(resourceArn=arn))["tags"]
        return tags

    async def _make_log_group(self) -> None:
        logs, name = self._clients["logs"], self.wanted.log_group
        await logs.create_log_group(logGroupName=name, tags={TAG: self.wanted.name})
        await logs.put_retention_policy(logGroupName=name, retentionInDays=KEEP_LOGS_DAYS)

    async def _find_bucket(self) -> Tags | None:
        s3, bucket = self._clients["s3"], self.wanted.bucket
        try:
            await s3.head_bucket(Bucket=bucket)
            answer = await s3.get_bucket_tagging(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchTagSet":
                return {}
            _check_it_is(error, "404", "NoSuchBucket")
            return None
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    async def _make_bucket(self) -> None:
        s3, bucket, region = self._clients["s3"], self.wanted.bucket, self.wanted.region
        # The oldest region is the one that S3 does not let be named.
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        await s3.create_bucket(Bucket=bucket, **place)
        await s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": _iam(self.wanted)})
        await s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=BLOCKED)
        await s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=ENCRYPTION)
        await s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=LIFECYCLE)

    async def _find_task_definition(self, definition: dict[str, Any]) -> Tags | None:
        try:
            answer = await self._clients["ecs"].describe_task_definition(
                taskDefinition=self.wanted.family, include=["TAGS"]
            )
        except ClientError as error:
            _check_it_is(error, "ClientException")
            return None
        found = answer["taskDefinition"]
        if found.get("status", "ACTIVE") != "ACTIVE" or not covers(found, definition):
            return None
        return {tag["key"]: tag["value"] for tag in answer.get("tags", ())}

    async def _remove_task_definitions(self) -> None:
        ecs = self._clients["ecs"]
        pages = ecs.get_paginator("list_task_definitions").paginate(familyPrefix=self.wanted.family)
        arns = [arn async for page in pages for arn in page["taskDefinitionArns"]]
        for arn in arns:
            await ecs.deregister_task_definition(taskDefinition=arn)


def _ecs(wanted: Wanted) -> list[dict[str, str]]:
    return [{"key": TAG, "value": wanted.name}]


def _iam(wanted: Wanted) -> list[dict[str, str]]:
    return [{"Key": TAG, "Value": wanted.name}]


def _check_it_is(error: ClientError, *codes: str) -> None:
    """AWS's words for what is not there; anything else is raised."""
    if error.response["Error"]["Code"] not in codes:
        raise error
