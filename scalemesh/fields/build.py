"""Directories, commands and variables of a build."""

import re
from collections.abc import Mapping

DIRECTORY_MAX_CHARACTERS = 256
COMMAND_MAX_CHARACTERS = 2000
ENV_MAX_VARIABLES = 64
ENV_VALUE_MAX_BYTES = 8 * 1024
# All of them travel in one environment variable to the builder; Linux allows 128 KiB for one.
ENV_MAX_BYTES = 64 * 1024

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
# The sandbox decides these; a project that could would choose which programs the builder starts.
_RESERVED_ENV = frozenset(
    {"PATH", "HOME", "TMPDIR", "SHELL", "USER", "IFS", "ENV", "BASH_ENV", "CI", "NODE_ENV"}
)
_RESERVED_ENV_PREFIXES = ("LD_", "DYLD_", "SCALEMESH", "GIT_")


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


def variables(value: Mapping[str, str | None]) -> dict[str, str | None]:
    """The environment of the build; None removes a variable."""
    if len(value) > ENV_MAX_VARIABLES:
        raise ValueError(f"Use at most {ENV_MAX_VARIABLES} variables.")
    total = 0
    for name, content in value.items():
        if not _ENV_NAME.fullmatch(name):
            raise ValueError(f"{name[:40]!r} can't be a variable's name: use letters, digits and _.")
        if name in _RESERVED_ENV or name.startswith(_RESERVED_ENV_PREFIXES):
            raise ValueError(f"{name} belongs to the builder. Choose another name.")
        size = len((content or "").encode())
        if size > ENV_VALUE_MAX_BYTES or "\x00" in (content or ""):
            raise ValueError(f"The value of {name} is too long: use at most {ENV_VALUE_MAX_BYTES} bytes.")
        total += len(name) + size
    if total > ENV_MAX_BYTES:
        raise ValueError(f"The variables are too long together: use at most {ENV_MAX_BYTES} bytes.")
    return dict(value)
