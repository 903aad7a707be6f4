"""Directories and commands of a build."""

import re

DIRECTORY_MAX_CHARACTERS = 256
COMMAND_MAX_CHARACTERS = 2000

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def directory(value: str) -> str | None:
    """Relative to the repository, in its shortest spelling; None for the repository itself."""
    if len(value) > DIRECTORY_MAX_CHARACTERS:
        raise ValueError(f"Use a directory of at most {DIRECTORY_MAX_CHARACTERS} characters.")
    if _CONTROL.search(value) or "\\" in value:
        raise ValueError("Give a directory with / between its names and no control characters.")
    if value.startswith("/"):
        raise ValueError("Give a directory inside the repository, without a / in front.")
    names = [name for name in value.strip().split("/") if name not in ("", ".")]
    if ".." in names:
        raise ValueError("Give a directory inside the repository: .. leads out of it.")
    if ".git" in names:
        raise ValueError("Give a directory of the repository's files, not git's own directory.")
    return "/".join(names) or None


def command(value: str) -> str | None:
    """One line for the shell inside the sandbox; None where the preset is to choose."""
    value = value.strip()
    if len(value) > COMMAND_MAX_CHARACTERS:
        raise ValueError(f"Use a command of at most {COMMAND_MAX_CHARACTERS} characters, or a script file.")
    if _CONTROL.search(value):
        raise ValueError("Give the command on one line, without control characters.")
    return value or None
