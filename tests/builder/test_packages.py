"""Which package manager, and how it installs."""

from pathlib import PurePosixPath

import pytest

from builder.packages import LockFile, Manager, Workspace, choose_manager

APP = PurePosixPath("app")
TOP = PurePosixPath(".")


def lock(name: str, directory: str = ".", head: str = "") -> LockFile:
    return LockFile(name, PurePosixPath(directory), head)


def manager_of(
    *locks: LockFile, fields: dict[PurePosixPath, object] | None = None, shared: bool = True
) -> Manager:
    """Of ``app`` in a repository that is one workspace, or that is not ``shared``."""
    by_directory: dict[PurePosixPath, tuple[LockFile, ...]] = {}
    for directory in (APP, TOP):
        by_directory[directory] = tuple(one for one in locks if one.directory == directory)
    return choose_manager(
        Workspace(APP, fields or {}, by_directory, frozenset({TOP}) if shared else frozenset())
    )


BERRY = "__metadata:\n  version: 8\n"


@pytest.mark.parametrize(
    ("field", "locks", "install", "package", "directory"),
    [
        (None, [], "npm install", "npm@latest", "app"),
        (None, [lock("package-lock.json", "app")], "npm ci", "npm@latest", "app"),
        (None, [lock("npm-shrinkwrap.json", "app")], "npm ci", "npm@latest", "app"),
        (None, [lock("package-lock.json")], "npm ci", "npm@latest", "."),
        (
            None,
            [lock("pnpm-lock.yaml", ".", "lockfileVersion: '9.0'\n")],
            "pnpm install --frozen-lockfile",
            "pnpm@10",
            ".",
        ),
        (
            None,
            [lock("pnpm-lock.yaml", ".", "lockfileVersion: '6.0'\n")],
            "pnpm install --frozen-lockfile",
            "pnpm@8",
            ".",
        ),
        (
            None,
            [lock("pnpm-lock.yaml", ".", "lockfileVersion: 5.4\n")],
            "pnpm install --frozen-lockfile",
            "pnpm@7",
            ".",
        ),
        (None, [lock("yarn.lock")], "yarn install --frozen-lockfile", "yarn@1.22.22", "."),
        (None, [lock("yarn.lock", ".", BERRY)], "yarn install --immutable", "@yarnpkg/cli-dist@4", "."),
        (
            None,
            [lock("package-lock.json"), lock("yarn.lock")],
            "yarn install --frozen-lockfile",
            "yarn@1.22.22",
            ".",
        ),
        (None, [lock("package-lock.json", "app"), lock("pnpm-lock.yaml")], "npm ci", "npm@latest", "app"),
        (
            "pnpm@9.1.0+sha512.abc",
            [lock("package-lock.json")],
            "pnpm install --no-frozen-lockfile",
            "pnpm@9.1.0",
            "app",
        ),
        (
            "pnpm@9.1.0",
            [lock("package-lock.json", "app"), lock("pnpm-lock.yaml")],
            "pnpm install --frozen-lockfile",
            "pnpm@9.1.0",
            ".",
        ),
        ("yarn@4.1.0", [lock("yarn.lock")], "yarn install --immutable", "@yarnpkg/cli-dist@4.1.0", "."),
        ("yarn@1.22.0", [], "yarn install --no-lockfile", "yarn@1.22.0", "app"),
        ("npm@10.0.0", [lock("yarn.lock")], "npm install", "npm@10.0.0", "app"),
        ("pnpm@9.1.0; rm -rf /", [], "npm install", "npm@latest", "app"),
        (None, [lock("bun.lock")], "bun install --frozen-lockfile", "bun@1", "."),
        (None, [lock("bun.lockb"), lock("yarn.lock")], "bun install --frozen-lockfile", "bun@1", "."),
        ("bun@1.2.3", [], "bun install --no-save", "bun@1.2.3", "app"),
        (7, [], "npm install", "npm@latest", "app"),
    ],
)
def test_a_package_manager_is_chosen_and_installs_frozen(
    field: object, locks: list[LockFile], install: str, package: str, directory: str
) -> None:
    manager = manager_of(*locks, fields={APP: field})
    assert (manager.install, manager.package) == (install, package)
    assert manager.directory == PurePosixPath(directory)


def test_the_field_of_the_repositorys_own_package_json_counts_too() -> None:
    manager = manager_of(lock("package-lock.json"), fields={APP: None, TOP: "pnpm@9.1.0"})
    assert (manager.package, manager.why) == ("pnpm@9.1.0", "packageManager in package.json")
    nearer = manager_of(fields={APP: "yarn@1.22.0", TOP: "pnpm@9.1.0"})
    assert (nearer.package, nearer.why) == ("yarn@1.22.0", "packageManager in app/package.json")


def test_a_lock_file_that_is_not_for_the_root_directory_tells_the_manager_only() -> None:
    manager = manager_of(lock("pnpm-lock.yaml"), shared=False)
    assert (manager.install, manager.directory) == ("pnpm install --no-frozen-lockfile", APP)
    assert manager.why == "pnpm-lock.yaml, which is not for app"
