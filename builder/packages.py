"""Package managers: which one a repository means, and how it installs. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

LOCK_FILES = {
    "bun.lock": "bun",
    "bun.lockb": "bun",
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
}
"""In the order in which they decide where a directory holds several."""

_FIELD = re.compile(r"(npm|pnpm|yarn|bun)@([0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.-]*)(?:\+.*)?", re.ASCII)
_PNPM_LOCK_VERSION = re.compile(r"^lockfileVersion: *['\"]?(\d+)", re.MULTILINE | re.ASCII)
_PNPM_OF_LOCK = {"5": "7", "6": "8"}
"""The pnpm that wrote a lock file of that version; later ones are read by the current pnpm."""
PNPM = "10"
YARN = "1.22.22"
YARN_BERRY = "4"
BUN = "1"


@dataclass(frozen=True, slots=True)
class LockFile:
    """``directory`` is relative to the repository; ``head`` is the file's beginning."""

    name: str
    directory: PurePosixPath
    head: str


@dataclass(frozen=True, slots=True)
class Workspace:
    """What decides about package managers. Directories are relative to the repository.

    ``fields`` are the values of ``packageManager`` in the package.json of ``root`` and of each directory
    above it, and ``locks`` the lock files there, both the nearest first.
    """

    root: PurePosixPath
    fields: Mapping[PurePosixPath, object]
    locks: Mapping[PurePosixPath, tuple[LockFile, ...]]
    shared: frozenset[PurePosixPath]
    """Directories above ``root`` where an install is one for ``root`` too."""


@dataclass(frozen=True, slots=True)
class Manager:
    """``package`` is what to fetch from the npm registry where the program is not on PATH."""

    name: str
    package: str
    install: str
    directory: PurePosixPath
    """Where to install, relative to the repository: beside the lock file, in a monorepo its root."""
    why: str

    @property
    def run_build(self) -> str:
        return f"{self.name} run build"


def choose_manager(workspace: Workspace) -> Manager:
    """``packageManager`` of the nearest package.json decides, then the nearest lock file, then npm.

    Whatever is chosen, the install is the frozen one where that manager's lock file is there. A lock file
    above the root directory that does not cover it tells the manager and is not installed from.
    """
    found = [lock for of_directory in workspace.locks.values() for lock in of_directory]
    covering = [lock for lock in found if lock.directory in (workspace.root, *workspace.shared)]
    for directory, field in workspace.fields.items():
        match = _FIELD.fullmatch(field) if isinstance(field, str) else None
        if match:
            name, version = match[1], match[2]
            lock = next((lock for lock in covering if LOCK_FILES[lock.name] == name), None)
            why = f"packageManager in {directory / 'package.json'}"
            return _manager(name, version, lock, workspace.root, why)
    if covering:
        lock = _first_of_nearest(covering)
        return _manager(LOCK_FILES[lock.name], None, lock, workspace.root, str(lock.directory / lock.name))
    if found:
        lock = _first_of_nearest(found)
        why = f"{lock.directory / lock.name}, which is not for {workspace.root}"
        return _manager(LOCK_FILES[lock.name], None, None, workspace.root, why)
    return _manager("npm", None, None, workspace.root, "no lock file")


def _first_of_nearest(locks: list[LockFile]) -> LockFile:
    return min(
        (lock for lock in locks if lock.directory == locks[0].directory),
        key=lambda lock: list(LOCK_FILES).index(lock.name),
    )


def _manager(name: str, version: str | None, lock: LockFile | None, root: PurePosixPath, why: str) -> Manager:
    directory = lock.directory if lock else root
    if name == "npm":
        return Manager(
            name, f"npm@{version or 'latest'}", "npm ci" if lock else "npm install", directory, why
        )
    if name == "pnpm":
        written = _PNPM_LOCK_VERSION.search(lock.head) if lock else None
        version = version or (_PNPM_OF_LOCK.get(written[1], PNPM) if written else PNPM)
        install = "pnpm install --frozen-lockfile" if lock else "pnpm install --no-frozen-lockfile"
        return Manager(name, f"pnpm@{version}", install, directory, why)
    if name == "bun":
        install = "bun install --frozen-lockfile" if lock else "bun install --no-save"
        return Manager(name, f"bun@{version or BUN}", install, directory, why)
    berry = (version is not None and not version.startswith("1.")) or (
        version is None and lock is not None and "__metadata:" in lock.head
    )
    if berry:
        package = f"@yarnpkg/cli-dist@{version or YARN_BERRY}"
        install = "yarn install --immutable" if lock else "yarn install --no-immutable"
        return Manager(name, package, install, directory, why)
    install = "yarn install --frozen-lockfile" if lock else "yarn install --no-lockfile"
    return Manager(name, f"yarn@{version or YARN}", install, directory, why)
