"""``python scalemesh.py ecs-setup``: says what it will do, asks, and does it."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from scalemesh.ecs_setup.parts import Account, Part
from scalemesh.ecs_setup.requests import TAG, Wanted, exports
from scalemesh.errors import ScaleMeshError

_SERVICES = ("ec2", "ecr", "ecs", "iam", "logs", "s3")
_TRIES = 5


class SetupFailed(ScaleMeshError):
    """AWS refused a step; the sentence names it. What was made before stays, and another run goes on."""

    code = "setup_failed"


async def run_setup(options: argparse.Namespace) -> None:
    """Raises SetupFailed."""
    if options.image is not None and "@sha256:" not in options.image:
        raise SetupFailed("--image: give it by digest, as repository@sha256:…")
    try:
        async with _open_account(options) as account:
            await (_destroy if options.destroy else _make)(account, options)
    except (BotoCoreError, ClientError) as error:
        raise SetupFailed(f"AWS: {error}") from error


async def _make(account: Account, options: argparse.Namespace) -> None:
    wanted = account.wanted
    image = options.image or await account.newest_image()
    missing = []
    for part in account.parts(image):
        there = await part.find() is not None
        _say(f"  {'is there' if there else 'to make '}  {part.what}")
        if not there:
            missing.append(part)
    if missing and not await _agreed(f"Make these {len(missing)}?", options):
        return
    for part in missing:
        await part.make()
        _say(f"made {part.what}")
    if image is None:
        _say(
            "\nNow push the builder's image, and run ecs-setup again for the task definition:\n"
            "  docker build -t scalemesh-builder builder/\n"
            f"  aws ecr get-login-password --region {wanted.region} | docker login --username AWS "
            f"--password-stdin {wanted.repository_uri.partition('/')[0]}\n"
            f"  docker tag scalemesh-builder {wanted.repository_uri}:latest\n"
            f"  docker push {wanted.repository_uri}:latest"
        )
        return
    _say("\n" + "\n".join(exports(wanted, await account.default_subnets())))


async def _destroy(account: Account, options: argparse.Namespace) -> None:
    name = account.wanted.name
    ours = []
    for part in reversed(account.every_part()):
        tags = await part.find()
        if tags is not None and tags.get(TAG) != name:
            _say(f"  leave      {part.what}: it has not the tag {TAG}={name}")
        elif tags is not None:
            _say(f"  to remove  {part.what}")
            ours.append(part)
    if not ours:
        _say("There is nothing to remove.")
    elif await _agreed(f"Remove these {len(ours)}?", options):
        for part in ours:
            await _remove(part)


async def _remove(part: Part) -> None:
    """What is in use stays, and is named: sites are in the bucket, builds in the cluster."""
    try:
        await part.remove()
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketNotEmpty", "ClusterContainsTasksException"):
            raise
        _say(f"left {part.what}: {error.response['Error'].get('Message', 'it is in use')}")
    else:
        _say(f"removed {part.what}")


async def _agreed(question: str, options: argparse.Namespace) -> bool:
    if options.dry_run or options.yes:
        return not options.dry_run
    answer = await asyncio.to_thread(input, f"{question} [y/N] ")
    return answer.strip().lower() in ("y", "yes")


@asynccontextmanager
async def _open_account(options: argparse.Namespace) -> AsyncIterator[Account]:
    session = aioboto3.Session()
    region = session.region_name
    if not region:
        raise SetupFailed("AWS_DEFAULT_REGION: set it to where builds are to run, for example eu-central-1")
    config = AioConfig(retries={"mode": "standard", "total_max_attempts": _TRIES})
    async with AsyncExitStack() as stack:

        async def client(service: str) -> Any:
            return await stack.enter_async_context(session.client(service, region_name=region, config=config))

        account = (await (await client("sts")).get_caller_identity())["Account"]
        _say(f"In account {account}, region {region}:")
        wanted = Wanted(
            name=options.name,
            account=account,
            region=region,
            bucket=options.bucket or f"{options.name}-{account}-{region}",
            cpu=options.cpu,
            memory_mib=options.memory,
        )
        yield Account({service: await client(service) for service in _SERVICES}, wanted)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what this command is for
