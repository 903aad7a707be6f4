"""The directory as the builder in a container finds it: somebody else's, and the builder is root."""

import os
from pathlib import Path

import pytest

from builder.store_directory import DirectoryStore


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for somebody else")
async def test_what_root_adds_belongs_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 1235)
    async with DirectoryStore(tmp_path) as store:
        await store.put("__output/proj1/blobs/abc", b"x", "text/plain")
        await store.add({"__output/proj1/other/def": b"y"})
        await store.settle()
    added = sorted(tmp_path.rglob("*"))
    assert [path.name for path in added] == ["__output", "proj1", "blobs", "abc", "other", "def"]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in added} == {(1234, 1235)}


async def test_what_a_killed_builder_left_half_written_goes_with_the_next_one(tmp_path: Path) -> None:
    project = tmp_path / "__output/proj1"
    (project / ".parts-killed").mkdir(parents=True)
    (project / ".parts-killed/half").write_bytes(b"h")
    async with DirectoryStore(tmp_path) as running:
        await running.add({"__output/proj1/blobs/abc": b"x"})
        async with DirectoryStore(tmp_path) as store:
            await store.put("__output/proj1/dep1/manifest.json", b"{}", "application/json")
        await running.settle()
    assert {path.name for path in project.rglob("*")} == {"blobs", "abc", "dep1", "manifest.json"}
