"""Directories, commands and variables."""

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


@pytest.mark.parametrize(
    "env",
    [
        {"PATH": "x"},
        {"TMPDIR": "x"}, {"LD_PRELOAD": "x"}, {"A=B": "x"}, {"1A": "x"}, {"": "x"}, {"A B": "x"},
        {"SCALEMESH": "x"},
        {"A": "x" * 9000}, {"A": "\x00"}, {f"A{n}": "x" for n in range(65)}, {"GIT_DIR": "x"}, {"Ä": "x"},
        {f"A{n}": "x" * 8000 for n in range(10)},
    ],
)  # fmt: skip
def test_a_variable_that_the_builder_decides_or_cannot_hold_is_refused(env: dict[str, str | None]) -> None:
    with pytest.raises(ValueError):
        build.variables(env)


def test_usual_variables_are_taken() -> None:
    env: dict[str, str | None] = {
        "VITE_API": "https://api.example.com",
        "_x": "",
        "NODE_OPTIONS": "--x",
        "GONE": None,
    }
    assert build.variables(env) == env
