"""Whether a build's dependencies can be kept for the next one, and when they stand in for the install.

The key holds everything that the install can see of the repository and of us, so the same key means the
same tree. ``decide`` is pure; ``read_facts`` looks at a checkout before any command has run in it.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from builder.checkout import MAX_PACKAGE_JSON_BYTES, read_regular
from builder.detect import Plan
from builder.packages import LOCK_FILES, Manager

FORMAT = 1
"""Of archives and keys. Another number makes every earlier archive somebody else's."""

MAX_DIRECTORIES = 20_000
"""Of a checkout that is looked through for package.json; one larger has its dependencies installed anew."""

MAX_INPUT_BYTES = 64 * 1024**2
"""Of a lock file, or of another file that the install reads."""

_CONFIGURATION = frozenset(
    {
        *(".npmrc", ".pnpmfile.cjs", "pnpm-workspace.yaml", "bunfig.toml"),
        *(".yarnrc", ".yarnrc.yml", "lerna.json", ".node-version", ".nvmrc"),
    }
)
_CONFIGURATION_DIRECTORIES = frozenset({"patches", ".yarn"})
"""Every file in them counts: patches of packages, and Yarn's own releases and plugins."""

_INSTALLED_FROM = (
    *("name", "workspaces", "packageManager", "engines", "overrides", "resolutions", "pnpm"),
    *("dependencies", "devDependencies", "optionalDependencies", "peerDependencies", "bundleDependencies"),
    *("bundledDependencies", "dependenciesMeta", "peerDependenciesMeta", "trustedDependencies", "bin"),
)
"""The fields of package.json that an install reads, beside its own scripts."""

_LIFECYCLE = (
    *("preinstall", "install", "postinstall", "prepublish"),
    *("preprepare", "prepare", "postprepare", "pnpm:devPreinstall"),
)
"""Scripts of the repository's own packages that an install runs. They may read any source file."""

_GIT_HOOKS = re.compile(r"\s*(husky( install)?|lefthook install|simple-git-hooks)(\s*\|\|.*)?\s*", re.ASCII)
"""Scripts that set up git hooks, which no build needs."""

_OVER_THE_TREE = {"npm": "npm install --no-save --prefer-offline"}
"""``npm ci`` begins by removing node_modules; the other managers' frozen installs check what is there."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What an install reads of a checkout. ``hashes`` maps paths to sha256; ``lock`` is the lock file's."""

    lock: str | None
    hashes: Mapping[str, str]
    scripts: tuple[str, ...] = ()
    """``package.json: postinstall`` of each own script that an install would run."""
    copies: bool = False
    """A dependency is a directory of the repository, and may be installed as a copy of it."""
    vendored: bool = False
    """The repository holds a node_modules."""
    too_large: bool = False


NO_FACTS = Facts(None, {})
"""Of a checkout in which no package manager installs anything."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else an install depends on."""

    project_id: str
    root: PurePosixPath
    node_major: int | None
    platform: str
    view: str
    """Where the workspace is for the commands: package managers write absolute paths."""
    env: Mapping[str, str]
    """The project's own variables."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Dependencies that can be kept. ``key`` is the same exactly where the install would do the same.

    ``install`` is what to run over the restored tree, and why; None where nothing needs to run.
    """

    key: str
    install: tuple[str, str] | None


def decide(plan: Plan, facts: Facts, around: Surroundings) -> Kept | str:
    """How the dependencies of ``plan`` are kept, or in a few words why they are not."""
    manager = plan.manager
    if manager is None or plan.install is None:
        return "there is nothing to install"
    if facts.lock is None:
        return "there is no lock file"
    if facts.vendored:
        return "the repository holds a node_modules"
    if facts.too_large:
        return f"the repository has more than {MAX_DIRECTORIES:,} directories"
    if facts.copies and manager.name != "npm":
        return "a dependency is a copy of a directory of the repository"
    command = plan.install.value
    own = command != manager.install
    if own and re.search(r"\bnpm (ci|clean-install)\b", command):
        return "the install command begins by removing node_modules"
    install = None
    if own:
        install = (command, "the project's own command may do more than install")
    elif facts.scripts:
        install = (_OVER_THE_TREE.get(manager.name, command), f"{facts.scripts[0]} may read the sources")
    return Kept(_key(command, manager, facts, around), install)


def framework_key(preset: str, around: Surroundings) -> str:
    """One for a project, framework and root directory: what a framework keeps, it checks itself."""
    return _digest(
        {
            "format": FORMAT,
            "project": around.project_id,
            "preset": preset,
            "root": str(around.root),
            "platform": around.platform,
            "node": around.node_major,
            "view": around.view,
        }
    )


def _key(command: str, manager: Manager, facts: Facts, around: Surroundings) -> str:
    return _digest(
        {
            "format": FORMAT,
            "project": around.project_id,
            "lock": facts.lock,
            "files": dict(facts.hashes),
            "manager": manager.package,
            "directory": str(manager.directory),
            "root": str(around.root),
            "install": command,
            "node": around.node_major,
            "platform": around.platform,
            "view": around.view,
            "env": dict(around.env),
        }
    )


def _digest(parts: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]


def read_facts(repo: Path, manager: Manager) -> Facts:
    """What ``manager`` would read of the checkout at ``repo``. Follows no link.

    A lock file above the root directory counts, as do all packages below it: a workspace's are among them.
    """
    hashes: dict[str, str] = {}
    scripts: list[str] = []
    copies = vendored = False
    lock = _hash_of_lock(repo, manager)
    directories = 0
    for directory, names, files in os.walk(repo / manager.directory):
        directories += 1
        if directories > MAX_DIRECTORIES:
            return Facts(lock, {}, too_large=True)
        vendored = vendored or "node_modules" in names
        names[:] = sorted(name for name in names if name not in ("node_modules", ".git"))
        inside = PurePosixPath(directory).relative_to(repo)
        for name in sorted(_of_the_install(inside, files)):
            content = read_regular(repo / inside / name, MAX_INPUT_BYTES)
            if content is None:
                continue
            if name == ".npmrc" and b"install-links" in content:
                copies = True
            if name == "package.json":
                package = _package(content)
                own = [script for script in _LIFECYCLE if _runs(package, script)]
                scripts += [f"{script} in {inside / name}" for script in own]
                copies = copies or _copies(package)
                content = json.dumps(_read_by_install(package), sort_keys=True).encode()
            hashes[str(inside / name)] = hashlib.sha256(content).hexdigest()
    return Facts(lock, hashes, tuple(scripts), copies, vendored)


def _of_the_install(inside: PurePosixPath, files: list[str]) -> Iterator[str]:
    everything = bool(_CONFIGURATION_DIRECTORIES & set(inside.parts))
    return (name for name in files if everything or name == "package.json" or name in _CONFIGURATION)


def _hash_of_lock(repo: Path, manager: Manager) -> str | None:
    for name, owner in LOCK_FILES.items():
        if owner == manager.name:
            content = read_regular(repo / manager.directory / name, MAX_INPUT_BYTES + 1)
            if content is not None and len(content) <= MAX_INPUT_BYTES:
                return hashlib.sha256(content).hexdigest()
    return None


def _package(content: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(content[:MAX_PACKAGE_JSON_BYTES].decode("utf-8-sig"))
    except (ValueError, RecursionError):
        # Some fixture of a test; whatever is in it counts.
        return {"name": hashlib.sha256(content).hexdigest()}
    return parsed if isinstance(parsed, dict) else {}


def _read_by_install(package: Mapping[str, Any]) -> dict[str, object]:
    read: dict[str, object] = {name: package[name] for name in _INSTALLED_FROM if name in package}
    read["scripts"] = {name: _script(package, name) for name in _LIFECYCLE}
    return read


def _runs(package: Mapping[str, Any], script: str) -> bool:
    command = _script(package, script)
    return command is not None and not _GIT_HOOKS.fullmatch(command)


def _script(package: Mapping[str, Any], name: str) -> str | None:
    scripts = package.get("scripts")
    command = scripts.get(name) if isinstance(scripts, dict) else None
    return command if isinstance(command, str) and command.strip() else None


def _copies(package: Mapping[str, Any]) -> bool:
    specs: list[object] = []
    for field in ("dependencies", "devDependencies", "optionalDependencies"):
        value = package.get(field)
        specs += value.values() if isinstance(value, dict) else ()
    local = any(isinstance(spec, str) and spec.startswith(("file:", "./", "../")) for spec in specs)
    return local or "injected" in json.dumps(package.get("dependenciesMeta"))
