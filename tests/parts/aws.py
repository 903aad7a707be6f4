"""An AWS that answers over real HTTP: moto's server, for ECS, ECR, IAM and what else the set-up asks.

Its S3 is for the set-up only; whoever stores or grants is tested against ``tests.artifacts.s3_server``.
"""

import os
from collections.abc import Iterator

import aiohttp
import pytest
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
async def aws(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an account with nothing in it but what a new one has; boto finds it by the environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": moto_url,
    }.items():
        monkeypatch.setenv(name, value)
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{moto_url}/moto-api/reset") as answer:
            assert answer.status == 200
        # A task runs until it is stopped, however often it is looked at.
        runs = {"model_name": "ecs::task", "transition": {"progression": "manual", "times": 1_000_000}}
        url = f"{moto_url}/moto-api/state-manager/set-transition"
        async with session.post(url, json=runs) as answer:
            assert answer.status == 201
    return moto_url
