"""Workspaces of builders that were killed together with their server."""

import tempfile
from pathlib import Path

import pytest

from scalemesh.builds.workspaces import new_workspace, remove_abandoned


def test_a_workspace_that_nobody_holds_is_removed_and_one_in_use_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "scalemesh-build-left"
    (left / "build").mkdir(parents=True)
    (left / "build").chmod(0o000)
    (tmp_path / "somebody-elses").mkdir()
    with new_workspace() as workspace:
        remove_abandoned()
        assert set(tmp_path.iterdir()) == {workspace, tmp_path / "somebody-elses"}
    assert not workspace.exists()
