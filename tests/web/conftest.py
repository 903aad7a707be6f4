from collections.abc import AsyncIterator

import pytest

from scalemesh.embedded import EmbeddedServers
from scalemesh.model import ProjectID
from tests.logs.build import Build, building
from tests.parts.server import Client, Server


@pytest.fixture
async def build(
    user: Client, server: Server, servers: EmbeddedServers, postgres_dsn: str, redis_url: str
) -> AsyncIterator[Build]:
    """A deployment of the user that this test builds."""
    project = await user.project("http://127.0.0.1:9/none.git")
    artifacts = server.data_dir / "artifacts"
    async with building(postgres_dsn, redis_url, artifacts, ProjectID(project["projectID"])) as running:
        yield running
