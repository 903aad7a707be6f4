"""Reads from a checkout what ``detect`` decides by. Never follows a link: the repository is hostile."""

import json
import os
import stat
from pathlib import Path, PurePosixPath

from builder.detect import Checkout, PackageJSON
from builder.errors import BuildError, Code
from builder.packages import LOCK_FILES, LockFile

MAX_PACKAGE_JSON_BYTES = 1024 * 1024
LOCK_HEAD_BYTES = 1024
MAX_NODE_FILE_BYTES = 256


def read_checkout(repo: Path, root: PurePosixPath) -> Checkout:
    """What is in ``root`` of the checkout at ``repo``, and the lock files above it.

    Raises ``BuildError`` (``root_directory_missing``, ``package_json_invalid``).
    """
    _require_directory(repo, root)
    directories = [directory for directory in (root, *root.parents) if directory == root or root.parts]
    return Checkout(
        root=root,
        package=_read_package(repo / root / "package.json"),
        locks={directory: _read_locks(repo, directory) for directory in directories},
        node_file=_read_node_file(repo, directories),
    )


def _require_directory(repo: Path, root: PurePosixPath) -> None:
    path = repo
    for name in root.parts:
        path /= name
        # A link could lead out of the repository, and to us it would be another uid's file.
        if path.is_symlink() or not path.is_dir():
            raise BuildError(
                Code.ROOT_DIRECTORY_MISSING,
                f"The repository has no directory {root}"
                + (", only a link of that name." if path.is_symlink() else "."),
                "Correct the project's root directory, or leave it empty to build the whole repository.",
            )


def _read_package(path: Path) -> PackageJSON | None:
    raw = read_regular(path, MAX_PACKAGE_JSON_BYTES + 1)
    if raw is None:
        return None
    try:
        if len(raw) > MAX_PACKAGE_JSON_BYTES:
            raise ValueError("larger than 1 MiB")
        parsed = json.loads(raw.decode("utf-8-sig"))
        if not isinstance(parsed, dict):
            raise ValueError("not an object")  # noqa: TRY004 - told like every other mistake in the file
    except (ValueError, RecursionError) as error:
        raise BuildError(
            Code.PACKAGE_JSON_INVALID,
            f"package.json can't be read: {error}.",
            "Run `npm pkg get` in that directory to see what is wrong with it.",
        ) from error
    return PackageJSON.from_json(parsed)


def _read_locks(repo: Path, directory: PurePosixPath) -> tuple[LockFile, ...]:
    found = []
    for name in LOCK_FILES:
        head = read_regular(repo / directory / name, LOCK_HEAD_BYTES)
        if head is not None:
            found.append(LockFile(name, directory, head.decode(errors="replace")))
    return tuple(found)


def _read_node_file(repo: Path, directories: list[PurePosixPath]) -> str | None:
    for directory in directories:
        for name in (".nvmrc", ".node-version"):
            raw = read_regular(repo / directory / name, MAX_NODE_FILE_BYTES)
            if raw is not None and raw.strip():
                return raw.decode(errors="replace").split()[0]
    return None


def read_regular(path: Path, max_bytes: int) -> bytes | None:
    """The first ``max_bytes`` of a regular file, or None where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return file.read(max_bytes)
