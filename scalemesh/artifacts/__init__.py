"""What builds leave behind: a key, its bytes, and nothing else.

``store`` is the contract; ``directory`` (plain files) and ``s3`` keep it, under one test suite. Keys come
from ``scalemesh.keys`` and are the same in both, so moving to S3 is copying a directory into a bucket.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from scalemesh.artifacts.directory import DirectoryStore
from scalemesh.artifacts.store import ArtifactStore
from scalemesh.aws import Aws

__all__ = ["ArtifactStore", "DirectoryStore", "open_s3_store", "open_store"]


@asynccontextmanager
async def open_store(
    aws: Aws, *, directory: Path, bucket: str | None, endpoint_url: str | None
) -> AsyncIterator[ArtifactStore]:
    """The store the settings name: ``bucket`` where there is one, else ``directory``, made if missing.

    Nothing is contacted: ``check()`` says whether an S3 store answers.
    """
    if bucket:
        # It imports botocore, which only S3 and ECS need.
        from scalemesh.artifacts.s3 import open_s3_store

        async with open_s3_store(bucket, endpoint_url=endpoint_url or None, session=aws.session) as store:
            yield store
    else:
        directory.mkdir(parents=True, exist_ok=True)
        in_directory = DirectoryStore(directory)
        await in_directory.remove_left()
        yield in_directory
