"""The directory as the builder in a container finds it: somebody else's, and the builder is root."""

import os
from pathlib import Path

import pytest

from builder.store_directory import DirectoryStore


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for somebody else")
async def test_what_root_adds_belongs_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 1235)
    await DirectoryStore(tmp_path).put("__output/proj1/blobs/abc", b"x", "text/plain")
    added = sorted(tmp_path.rglob("*"))
    assert [path.name for path in added] == ["__output", "proj1", "blobs", "abc"]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in added} == {(1234, 1235)}
