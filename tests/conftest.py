"""What every test may ask for. Each fixture is a real server or program; see ``tests/parts``."""

import asyncio
from collections.abc import Callable, Mapping

import hypothesis
import pytest
import uvloop

from tests.artifacts.s3_server import s3_server
from tests.parts.aws import aws, moto_url
from tests.parts.browser import chromium
from tests.parts.containers import docker_host
from tests.parts.databases import database, migrated_template, postgres_dsn, redis_url, servers
from tests.parts.git import git_server
from tests.parts.leftovers import no_process_is_left_behind
from tests.parts.server import new_server, server, stranger, user, visitor

__all__ = [
    "aws",
    "chromium",
    "database",
    "docker_host",
    "git_server",
    "migrated_template",
    "moto_url",
    "new_server",
    "no_process_is_left_behind",
    "postgres_dsn",
    "redis_url",
    "s3_server",
    "server",
    "servers",
    "stranger",
    "user",
    "visitor",
]

# An example takes as long as the machine lets it, and what passed here passes elsewhere. For other examples:
# pytest --hypothesis-profile=hunt
hypothesis.settings.register_profile(
    "hunt", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], derandomize=False
)
hypothesis.settings.register_profile(
    "same anywhere", hypothesis.settings.get_profile("hunt"), derandomize=True, database=None
)
hypothesis.settings.load_profile("same anywhere")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the server runs on."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real installs first: one that begins last is waited for by idle workers."""
    items.sort(key=lambda item: item.get_closest_marker("registry") is None)
