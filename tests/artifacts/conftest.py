import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scalemesh.artifacts import ArtifactStore, DirectoryStore
from scalemesh.artifacts.s3 import open_s3_store
from tests.artifacts.s3_server import S3Server


@pytest.fixture(params=["directory", "s3"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, s3_server: S3Server
) -> AsyncIterator[ArtifactStore]:
    """Each implementation in turn."""
    if request.param == "directory":
        yield DirectoryStore(tmp_path)
        return
    async with open_s3_store(
        s3_server.bucket,
        endpoint_url=s3_server.endpoint_url,
        access_key_id=s3_server.access_key_id,
        secret_access_key=s3_server.secret_access_key,
    ) as opened:
        yield opened


@pytest.fixture
def prefix() -> str:
    """A prefix of this test's own, with its final slash."""
    return f"__output/{secrets.token_hex(6)}/"
