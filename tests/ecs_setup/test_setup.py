"""``ecs-setup`` against an AWS over HTTP: made once, told first, taken back."""

import argparse
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aioboto3
import aiohttp
import pytest

from scalemesh.ecs_setup.command import SetupFailed, run_setup
from scalemesh.ecs_setup.options import add_arguments
from scalemesh.ecs_setup.requests import Wanted, builder_memory_mib, covers, task_definition

WANTED = Wanted("mesh", "123456789012", "eu-central-1", "sites", cpu=1024, memory_mib=4096)
IMAGE = f"{WANTED.repository_uri}@sha256:{'0' * 64}"


def options(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(["--name", "mesh", "--bucket", "mesh-sites", *given])


async def push_image() -> str:
    """As `docker push` does at its end. Returns the digest."""
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 7, "digest": "sha256:c"}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []})
    async with aioboto3.Session().client("ecr") as ecr:
        answer = await ecr.put_image(repositoryName="mesh-builder", imageManifest=manifest, imageTag="latest")
    return str(answer["image"]["imageId"]["imageDigest"])


async def test_it_asks_makes_each_thing_once_and_prints_the_settings(
    aws: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "no")
    await run_setup(options("--dry-run"))
    await run_setup(options())
    said = capsys.readouterr().out
    assert said.count("  to make   ") == 12
    assert "made" not in said

    await run_setup(options("--yes"))
    said = capsys.readouterr().out
    assert said.count("  to make   ") == said.count("\nmade ") == 6
    assert "docker push 123456789012.dkr.ecr.eu-central-1.amazonaws.com/mesh-builder:latest" in said
    assert "export" not in said
    await the_bucket_is_closed_encrypted_and_cleans_up()
    await the_task_role_has_no_permission()

    digest = await push_image()
    await run_setup(options("--yes", "--cpu", "1024", "--memory", "4096"))
    said = capsys.readouterr().out
    assert said.count("  is there  ") == 6
    assert said.count("\nmade ") == 1
    exported = dict(
        line.removeprefix("export ").split("=", 1) for line in said.splitlines() if line.startswith("export ")
    )
    assert exported["ECS_TASK_DEFINITION"] == "mesh-builder"
    assert exported["S3_BUCKET"] == "mesh-sites"
    assert exported["ECS_SUBNETS"].startswith("subnet-")

    await run_setup(options("--yes", "--cpu", "1024", "--memory", "4096"))
    assert "made" not in capsys.readouterr().out
    async with aioboto3.Session().client("ecs") as ecs:
        described = await ecs.describe_task_definition(taskDefinition="mesh-builder")
    definition = described["taskDefinition"]
    assert definition["revision"] == 1
    [container] = definition["containerDefinitions"]
    assert container["image"].endswith(f"/mesh-builder@{digest}")
    assert (definition["cpu"], definition["memory"]) == ("1024", "4096")


async def the_bucket_is_closed_encrypted_and_cleans_up() -> None:
    async with aioboto3.Session().client("s3") as s3:
        blocked = await s3.get_public_access_block(Bucket="mesh-sites")
        encryption = await s3.get_bucket_encryption(Bucket="mesh-sites")
        lifecycle = await s3.get_bucket_lifecycle_configuration(Bucket="mesh-sites")
    assert set(blocked["PublicAccessBlockConfiguration"].values()) == {True}
    assert encryption["ServerSideEncryptionConfiguration"]["Rules"]
    [rule] = lifecycle["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


async def the_task_role_has_no_permission() -> None:
    async with aioboto3.Session().client("iam") as iam:
        inline = await iam.list_role_policies(RoleName="mesh-builder-task")
        attached = await iam.list_attached_role_policies(RoleName="mesh-builder-task")
        execution = await iam.get_role_policy(RoleName="mesh-builder-execution", PolicyName="builder")
    assert inline["PolicyNames"] == attached["AttachedPolicies"] == []
    actions = {str(one["Action"]) for one in execution["PolicyDocument"]["Statement"]}
    assert not any("s3" in action or "*" in action for action in actions)


async def test_what_it_made_is_taken_back_and_nothing_else(
    aws: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with aioboto3.Session().client("s3") as s3:
        await s3.create_bucket(
            Bucket="mesh-sites", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
    await run_setup(options("--yes", "--image", IMAGE))
    capsys.readouterr()
    await run_setup(options("--destroy", "--yes"))
    said = capsys.readouterr().out
    assert said.count("\nremoved ") == 6
    assert "leave      S3 bucket mesh-sites" in said
    await run_setup(options("--destroy", "--yes"))
    assert "nothing to remove" in capsys.readouterr().out


async def test_a_bucket_with_sites_in_it_is_left(aws: str, capsys: pytest.CaptureFixture[str]) -> None:
    await run_setup(options("--yes"))
    async with aioboto3.Session().client("s3") as s3:
        body = b"<h1>Site</h1>"
        checksum = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        await s3.put_object(Bucket="mesh-sites", Key="__output/p/blobs/x", Body=body, ContentMD5=checksum)
    await run_setup(options("--destroy", "--yes"))
    assert "left S3 bucket mesh-sites" in capsys.readouterr().out


async def test_an_image_is_given_by_digest_only(aws: str) -> None:
    with pytest.raises(SetupFailed, match="by digest"):
        await run_setup(options("--image", "registry.example.com/builder:latest"))


async def test_what_aws_refuses_is_one_sentence(moto_url: str, aws: str) -> None:
    async with aiohttp.ClientSession() as session, knowing_its_users(session, moto_url):
        with pytest.raises(SetupFailed, match=r"^AWS: .* security token .* is invalid"):
            await run_setup(options("--yes"))


@asynccontextmanager
async def knowing_its_users(session: aiohttp.ClientSession, url: str) -> AsyncIterator[None]:
    """An AWS that asks who it is, and does not know these keys."""
    await (await session.post(f"{url}/moto-api/reset-auth", data="0")).read()
    try:
        yield
    finally:
        await (await session.post(f"{url}/moto-api/reset-auth", data="inf")).read()


def test_the_whole_task_definition() -> None:
    assert task_definition(WANTED, IMAGE) == {
        "family": "mesh-builder",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "1024",
        "memory": "4096",
        "executionRoleArn": "arn:aws:iam::123456789012:role/mesh-builder-execution",
        "taskRoleArn": "arn:aws:iam::123456789012:role/mesh-builder-task",
        "containerDefinitions": [
            {
                "name": "builder",
                "image": IMAGE,
                "essential": True,
                "memory": 4096,
                "stopTimeout": 10,
                "ulimits": [{"name": "nofile", "softLimit": 8192, "hardLimit": 8192}],
                "linuxParameters": {
                    "capabilities": {
                        "drop": [
                            "AUDIT_WRITE",
                            "FOWNER",
                            "FSETID",
                            "MKNOD",
                            "NET_BIND_SERVICE",
                            "NET_RAW",
                            "SETFCAP",
                            "SYS_CHROOT",
                        ]
                    }
                },
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {
                        "awslogs-group": "/mesh/builder",
                        "awslogs-region": "eu-central-1",
                        "awslogs-stream-prefix": "build",
                    },
                },
            }
        ],
    }


@pytest.mark.parametrize(
    ("found", "wanted", "covered"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": [{"x": 1, "y": 2}]}, {"a": [{"x": 1}]}, True),
        ({"a": [{"x": 1}, {}]}, {"a": [{"x": 1}]}, False),
        ({}, {"a": 1}, False),
        ({"a": None}, {"a": {"b": 1}}, False),
    ],
)
def test_what_aws_adds_is_no_difference(found: Any, wanted: Any, covered: bool) -> None:
    assert covers(found, wanted) is covered


def test_a_builder_keeps_memory_for_itself() -> None:
    assert (builder_memory_mib(5120), builder_memory_mib(2048)) == (4096, 1536)
