import os
import stat
import tempfile
from pathlib import Path

import pytest

from scalemesh.embedded import DataDirInUse, DataDirUnusable, hold_data_dir
from scalemesh.embedded.data_dir import socket_dir


def test_a_new_data_directory_is_for_this_user_alone(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path / "a" / "b") as data_dir:
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


def test_a_relative_data_directory_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with hold_data_dir(Path("data")) as data_dir:
        assert data_dir == tmp_path.resolve() / "data"


def test_a_second_holder_is_told_who_holds_it_and_what_to_do(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path), pytest.raises(DataDirInUse) as refused, hold_data_dir(tmp_path):
        pass
    assert str(refused.value) == (
        f"Another Scale Mesh (process {os.getpid()}) is using {tmp_path}. "
        "Stop it, or set DATA_DIR to another directory."
    )


def test_the_data_directory_is_free_again_when_its_holder_has_ended(tmp_path: Path) -> None:
    for _ in range(2):
        with hold_data_dir(tmp_path):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_longer_number_of_an_earlier_holder_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("99999999999999\n")
    with hold_data_dir(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_file_in_place_of_the_data_directory_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    expected = pytest.raises(DataDirUnusable, match=r"can't be used: File exists. Set DATA_DIR")
    with expected, hold_data_dir(tmp_path / "data"):
        pass


def test_sockets_of_a_long_data_directory_get_a_short_private_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    data_dir = tmp_path / ("long" * 30)
    directory = socket_dir(data_dir)
    assert directory.parent == tmp_path
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert socket_dir(data_dir) == directory


def test_a_link_planted_in_the_temporary_directory_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    data_dir = tmp_path / ("long" * 30)
    directory = socket_dir(data_dir)
    directory.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    directory.symlink_to(elsewhere)
    with pytest.raises(DataDirUnusable):
        socket_dir(data_dir)
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o755
