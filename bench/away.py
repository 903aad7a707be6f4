"""With everything away from home: Postgres, Redis and S3 are given, and builds are tasks of ECS.

The start is that of ``python scalemesh.py`` to a 200 from ``/health``, with Python's compiled files there, as
on any machine that has started it before. From POST /deploy to RunTask is measured where ECS would be: at a
relay in front of moto's server. The blobs go to SeaweedFS by the builder's own code.
"""

import asyncio
import contextlib
import io
import json
import logging
import os
import random
import re
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

import aioboto3
import aiohttp
from aiohttp import web
from moto.server import ThreadedMotoServer
from redis.asyncio import Redis

from bench.figures import Figure
from bench.first_deploy import server
from builder.collect import collect
from builder.contract import read_contract
from builder.earlier import read_earlier
from builder.publish import upload
from builder.store import open_store
from scalemesh.ecs_setup.command import run_setup
from scalemesh.ecs_setup.options import add_arguments
from scalemesh.embedded import embedded_servers, hold_data_dir
from tests.artifacts.s3_server import S3Server, run_s3_server
from tests.parts.aws import REGION
from tests.parts.ports import unused_port
from tests.parts.server import Client, eventually

_STARTS = 5
_DEPLOYS = 20
_BLOBS = 1000
_BLOB_BYTES = 5000
_ROUNDS = 3
_IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/mesh-builder@sha256:{'0' * 64}"


async def measure() -> list[Figure]:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "s3").mkdir()
        async with run_s3_server(root / "s3") as s3, _given(root, s3) as (settings, asked):
            starts = []
            async with server(root / "first", **settings):
                pass
            for number in range(_STARTS):
                async with server(root / f"start-{number}", **settings) as (start_s, _, _):
                    starts.append(start_s)
            async with server(root / "deploys", **settings) as (_, client, _):
                launches_ms = await _launches(client, asked)
            blobs_s = [await _blobs(root / f"site-{number}", s3) for number in range(_ROUNDS)]
    return [
        Figure(f"start to a 200 from /health, median of {_STARTS}", median(starts), 1.5, "s"),
        Figure(f"POST /deploy to RunTask, median of {_DEPLOYS}", median(launches_ms), 150, "ms"),
        Figure("the same, worst", max(launches_ms), None, "ms"),
        Figure(
            f"{_BLOBS:,} blobs of {_BLOB_BYTES:,} bytes to a real S3 server, median",
            median(blobs_s),
            3.0,
            "s",
        ),
        Figure("the same, worst", max(blobs_s), None, "s"),
    ]


@asynccontextmanager
async def _given(root: Path, s3: S3Server) -> AsyncIterator[tuple[dict[str, str], dict[str, float]]]:
    """The settings, and when ECS was first asked to run a task: by its token, on this process's clock."""
    asked: dict[str, float] = {}
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        url = f"http://{host}:{port}"
        os.environ |= {
            "AWS_ACCESS_KEY_ID": s3.access_key_id,
            "AWS_SECRET_ACCESS_KEY": s3.secret_access_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": url,
        }
        with hold_data_dir(root / "servers") as data_dir:
            async with embedded_servers(data_dir) as servers, _relay(url, asked) as relay_url:
                redis_url = await _over_tcp(servers.redis_url or "")
                yield (
                    {
                        **await _ecs_settings(url),
                        "DATABASE_URL": servers.database_url or "",
                        "REDIS_URL": redis_url,
                        "REDIS_BUILDER_URL": redis_url,
                        "S3_BUCKET": s3.bucket,
                        "S3_ENDPOINT_URL": s3.endpoint_url,
                        "AWS_ENDPOINT_URL_ECS": relay_url,
                        "SESSION_KEY": "for measurements only",
                        "BUILD_CONCURRENCY": "64",
                        "BUILDS_PER_USER": "64",
                    },
                    asked,
                )
    finally:
        moto.stop()


async def _ecs_settings(url: str) -> dict[str, str]:
    """What ``ecs-setup`` prints. A task of this account runs until it is stopped."""
    runs = {"model_name": "ecs::task", "transition": {"progression": "manual", "times": 1_000_000}}
    async with aiohttp.ClientSession() as session:
        await (await session.post(f"{url}/moto-api/state-manager/set-transition", json=runs)).read()
    parser = ArgumentParser()
    add_arguments(parser)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        await run_setup(parser.parse_args(["--name", "mesh", "--yes", "--image", _IMAGE]))
    async with aioboto3.Session().client("ec2") as ec2:
        [group, *_] = (await ec2.describe_security_groups())["SecurityGroups"]
    settings = dict(re.findall(r"^export (\w+)=(\S+)", said.getvalue(), re.MULTILINE))
    return {**settings, "ECS_SECURITY_GROUPS": group["GroupId"]}


async def _over_tcp(redis_url: str) -> str:
    """The same Valkey on the loopback, since tasks are given no socket of this machine."""
    port = unused_port()
    async with Redis.from_url(redis_url) as redis:
        await redis.config_set("port", port)
    return f"redis://{redis_url.removeprefix('unix://').partition('@')[0]}@127.0.0.1:{port}"


@asynccontextmanager
async def _relay(url: str, asked: dict[str, float]) -> AsyncIterator[str]:
    """What ECS is asked goes on to ``url``; when it was RunTask is noted."""
    async with aiohttp.ClientSession() as session:

        async def relay(request: web.Request) -> web.Response:
            body = await request.read()
            if request.headers.get("X-Amz-Target", "").endswith(".RunTask"):
                asked.setdefault(json.loads(body)["clientToken"], time.monotonic())
            headers = {name: value for name, value in request.headers.items() if name != "Host"}
            async with session.request(
                request.method, url + request.path_qs, data=body, headers=headers
            ) as answer:
                return web.Response(
                    status=answer.status,
                    body=await answer.read(),
                    content_type=answer.content_type,
                )

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", relay)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port := unused_port())
            await site.start()
            yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()


async def _launches(client: Client, asked: dict[str, float]) -> list[float]:
    """One after another, each of a project of its own."""
    await client.sign_up()
    taken = []
    for _ in range(_DEPLOYS):
        project = await client.project("https://github.com/ada/site.git")
        began = time.monotonic()
        deployment_id = await client.deploy(project["projectID"])
        token = f"{deployment_id}-1"
        await eventually(partial(asked.get, token), within_s=30)
        taken.append((asked[token] - began) * 1000)
    return taken


async def _blobs(site: Path, s3: S3Server) -> float:
    """Collect, hash and upload; pictures, so that each file is one blob."""
    source = random.Random(site.name)
    site.mkdir()
    for number in range(_BLOBS):
        (site / f"{number}.png").write_bytes(source.randbytes(_BLOB_BYTES))
    contract = read_contract(
        {"GITHUB_REPO_URL": "https://example.com/a/b", "projectID": site.name}, now=datetime.now(UTC)
    )
    contract = replace(contract, artifacts=f"s3://{s3.bucket}", s3_endpoint_url=s3.endpoint_url)
    began = time.monotonic()
    async with open_store(contract) as store:
        earlier = await read_earlier(contract, store)
        found = await asyncio.to_thread(collect, site, contract.limits, is_source=False)
        uploaded = await upload(contract, store, site, found.files, earlier)
    assert uploaded.new_blobs == _BLOBS
    return time.monotonic() - began
