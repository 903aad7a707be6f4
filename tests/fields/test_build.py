"""Directories and commands."""

import pytest

from scalemesh.fields import build


@pytest.mark.parametrize(
    ("typed", "used"),
    [("apps/web", "apps/web"), ("./apps//web/", "apps/web"), (".", None), ("", None), ("a b/c", "a b/c")],
)
def test_a_directory_is_kept_in_its_shortest_spelling(typed: str, used: str | None) -> None:
    assert build.directory(typed) == used


@pytest.mark.parametrize(
    "typed", ["../x", "a/../../b", "/etc", ".git/hooks", "a\\b", "a\x00", "a\nb", "x" * 257]
)
def test_a_directory_outside_the_repository_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="directory"):
        build.directory(typed)


@pytest.mark.parametrize("typed", ["npm run build\nrm -rf /", "a\x00", "x" * 2001])
def test_a_command_is_one_line(typed: str) -> None:
    with pytest.raises(ValueError, match="command"):
        build.command(typed)
