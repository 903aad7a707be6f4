"""When dependencies may be kept, and what makes them other ones."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest

from builder.caches import MAX_ARCHIVES, MAX_BYTES, names_to_evict
from builder.checkout import read_checkout
from builder.dependencies import Kept, Surroundings, decide, read_facts
from builder.detect import Settings, detect
from builder.stored import Stored

AROUND = Surroundings(
    project_id="p1",
    root=PurePosixPath("."),
    node_major=24,
    platform="linux-x86_64-glibc-2.41",
    view="/workspace",
    env={},
)
PACKAGE = {"name": "a", "version": "1.0.0", "scripts": {"build": "vite build"}, "dependencies": {"x": "^1"}}
BASE = {"package.json": json.dumps(PACKAGE), "package-lock.json": "{}", "src/a.js": "1"}


def decided(
    repo: Path, files: dict[str, str], around: Surroundings = AROUND, install: str | None = None
) -> Kept | str:
    for name, content in files.items():
        path = repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    plan = detect(read_checkout(repo, around.root), Settings(install_command=install))
    assert plan.manager is not None
    return decide(plan, read_facts(repo, plan.manager), around)


def package(**fields: object) -> dict[str, str]:
    return {"package.json": json.dumps(PACKAGE | fields)}


@pytest.mark.parametrize(
    ("changed", "is_other"),
    [
        ({}, False),
        ({"src/a.js": "2"}, False),
        ({"README.md": "new"}, False),
        (package(version="1.0.1"), False),
        (package(scripts={"build": "vite build --mode x"}), False),
        (package(description="other"), False),
        ({"package-lock.json": '{"a": 1}'}, True),
        (package(dependencies={"x": "^2"}), True),
        (package(devDependencies={"y": "1"}), True),
        (package(overrides={"z": "1"}), True),
        (package(scripts={"build": "vite build", "prepare": "husky"}), True),
        (package(packageManager="npm@11.0.0"), True),
        ({".npmrc": "legacy-peer-deps=true"}, True),
        ({"patches/x+1.0.0.patch": "--- a"}, True),
        ({"packages/b/package.json": '{"name": "b", "dependencies": {"y": "1"}}'}, True),
    ],
)
def test_the_key_is_what_the_install_sees(tmp_path: Path, changed: dict[str, str], is_other: bool) -> None:
    before = decided(tmp_path / "a", BASE)
    after = decided(tmp_path / "b", BASE | changed)
    assert isinstance(before, Kept)
    assert isinstance(after, Kept)
    assert (before.key != after.key) is is_other


@pytest.mark.parametrize(
    "around",
    [
        replace(AROUND, project_id="p2"),
        replace(AROUND, node_major=22),
        replace(AROUND, platform="linux-aarch64-glibc-2.41"),
        replace(AROUND, view="/tmp/elsewhere"),
        replace(AROUND, env={"A": "b"}),
    ],
)
def test_the_key_is_of_one_project_and_place(tmp_path: Path, around: Surroundings) -> None:
    before, after = decided(tmp_path, BASE), decided(tmp_path, BASE, around)
    assert isinstance(before, Kept)
    assert isinstance(after, Kept)
    assert before.key != after.key


YARN = {"package.json": BASE["package.json"], "yarn.lock": ""}


@pytest.mark.parametrize(
    ("files", "install", "expected"),
    [
        (BASE, None, None),
        (BASE, "npm ci", None),
        (YARN, None, None),
        (BASE | package(scripts={"build": "b", "prepare": "husky install || true"}), None, None),
        (
            BASE | package(scripts={"build": "b", "postinstall": "x"}),
            None,
            "npm install --no-save --prefer-offline",
        ),
        (YARN | package(scripts={"build": "b", "postinstall": "x"}), None, "yarn install --frozen-lockfile"),
        (
            BASE | {"b/package.json": '{"scripts": {"prepare": "tsc"}}'},
            None,
            "npm install --no-save --prefer-offline",
        ),
        (BASE, "npm install --force", "npm install --force"),
    ],
)
def test_an_install_that_may_read_sources_runs(
    tmp_path: Path, files: dict[str, str], install: str | None, expected: str | None
) -> None:
    kept = decided(tmp_path, files, install=install)
    assert isinstance(kept, Kept)
    assert (kept.install[0] if kept.install else None) == expected


@pytest.mark.parametrize(
    ("files", "install", "why"),
    [
        (package(), None, "there is no lock file"),
        (BASE | {"node_modules/x/index.js": ""}, None, "the repository holds a node_modules"),
        (BASE, "npm ci && npm run generate", "the install command begins by removing node_modules"),
        (
            YARN | package(dependencies={"b": "file:b"}),
            None,
            "a dependency is a copy of a directory of the repository",
        ),
    ],
)
def test_what_is_not_kept_says_why(
    tmp_path: Path, files: dict[str, str], install: str | None, why: str
) -> None:
    assert decided(tmp_path, files, install=install) == why


def stored(number: int, size: int) -> Stored:
    return Stored(f"a{number}", size, datetime(2030, 1, 1, tzinfo=UTC) + timedelta(hours=number))


def test_the_oldest_archives_go() -> None:
    assert names_to_evict([stored(number, 1) for number in range(MAX_ARCHIVES)]) == []
    assert names_to_evict([stored(number, 1) for number in range(MAX_ARCHIVES + 2)]) == ["a1", "a0"]
    assert names_to_evict([stored(1, MAX_BYTES // 2), stored(2, MAX_BYTES // 2), stored(0, 1)]) == ["a0"]
