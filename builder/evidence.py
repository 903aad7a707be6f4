"""Looks at the checkout of a build that failed, for ``explain`` to judge by.

The commands are over, but they could leave links anywhere below the workspace: none is followed.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from builder.checkout import read_checkout, read_regular
from builder.detect import Plan
from builder.errors import BuildError
from builder.explain import Ended, Facts, explain
from builder.log import Phase
from builder.process import Finished
from builder.rules import RULES
from builder.run import Runner

MAX_FILES = 20_000
"""Of the checkout that are looked at: enough for any site, and no time."""

MAX_GITMODULES_BYTES = 64 * 1024
_NOT_SOURCES = frozenset({".git", "node_modules"})
_SUBMODULE_PATH = re.compile(r"^\s*path\s*=\s*\"?([^\"\n]+?)\"?/?\s*$", re.MULTILINE)


def why_failed(
    phase: Phase,
    command: str,
    finished: Finished,
    *,
    plan: Plan,
    runner: Runner,
    root: PurePosixPath,
    env: Mapping[str, str],
) -> BuildError:
    """The error for ``command``, which ended with another status than 0."""
    status = finished.status if finished.status >= 0 else 128 - finished.status
    lines = tuple(zip(finished.seqs, finished.tail, strict=True))
    return explain(Ended(phase, command, status, lines), _facts(plan, runner, root, env), RULES)


def _facts(plan: Plan, runner: Runner, root: PurePosixPath, env: Mapping[str, str]) -> Facts:
    repo = runner.workspace.repo
    files = _list_files(repo)
    try:
        package = None if repo.is_symlink() else read_checkout(repo, root).package
    except BuildError:
        # The command broke its own package.json; what it printed is still worth reading.
        package = None
    return Facts(
        repo=runner.view / "repo",
        root=root,
        files=files,
        submodules=_empty_submodules(repo, files),
        scripts=package.scripts if package else (),
        dependencies=package.dependencies if package else frozenset(),
        has_package=package is not None,
        manager=plan.manager.name if plan.manager else "npm",
        variables=frozenset(env),
        memory_bytes=runner.memory_bytes,
    )


def _list_files(repo: Path) -> frozenset[str]:
    found: set[str] = set()
    if repo.is_symlink():
        return frozenset()
    for directory, names, files in os.walk(repo):
        names[:] = sorted(name for name in names if name not in _NOT_SOURCES)
        relative = PurePosixPath(directory).relative_to(repo)
        found.update(str(relative / name) for name in files)
        if len(found) > MAX_FILES:
            break
    return frozenset(found)


def _empty_submodules(repo: Path, files: frozenset[str]) -> tuple[str, ...]:
    raw = None if repo.is_symlink() else read_regular(repo / ".gitmodules", MAX_GITMODULES_BYTES)
    paths = _SUBMODULE_PATH.findall(raw.decode(errors="replace")) if raw else []
    filled = {str(parent) for file in files for parent in PurePosixPath(file).parents}
    return tuple(path for path in paths if path not in filled)
