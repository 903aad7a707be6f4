"""The pipeline of GitLab: against GitLab's own schema, and what its jobs may push and when."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = ROOT / ".gitlab-ci.yml"
DEFAULT_BRANCH = {"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"}
VERSION_TAG = {"if": r"$CI_COMMIT_TAG =~ /^v[0-9]+\.[0-9]+\.[0-9]+$/"}


@pytest.fixture(scope="module")
def pipeline() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(PIPELINE.read_text())
    return read


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            Path(sys.executable).with_name("check-jsonschema"),
            "--builtin-schema=vendor.gitlab-ci",
            "--data-transform=gitlab-ci",
            path,
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def test_gitlab_understands_it() -> None:
    linted = lint(PIPELINE)
    assert linted.returncode == 0, linted.stdout


def test_a_mistake_in_it_is_found(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(PIPELINE.read_text().replace("interruptible: true", "interruptible: {}"))
    assert "interruptible" in lint(broken).stdout


def test_only_the_default_branch_and_versions_push(pipeline: dict[str, Any]) -> None:
    image = pipeline[".image"]
    assert image["rules"] == [DEFAULT_BRANCH, VERSION_TAG]
    pushing = {name for name, job in pipeline.items() if isinstance(job, dict) and _runs(job, "docker push")}
    assert pushing == {".image"}
    extending = {name for name, job in pipeline.items() if isinstance(job, dict) and "extends" in job}
    assert extending == {"server-image", "builder-image"}
    for name in extending:
        # Rules of its own would replace those.
        assert pipeline[name].keys() == {"extends", "variables", "before_script"}
        assert (ROOT / pipeline[name]["variables"]["CONTEXT"] / "Dockerfile").is_file()


def test_it_runs_what_exists(pipeline: dict[str, Any]) -> None:
    assert pipeline["check"]["script"][-1] == "make check"
    assert pipeline["test"]["script"] == ["bash .ci/run"]
    assert {job["stage"] for name, job in pipeline.items() if name in ("check", "test", ".image")} == set(
        pipeline["stages"]
    )


@pytest.mark.parametrize(
    ("tag", "name"), [("", "latest"), ("v1.2.3", "1.2.3"), ("v0.10.0", "0.10.0")], ids=lambda value: value
)
def test_an_image_is_named_for_its_version(pipeline: dict[str, Any], tag: str, name: str) -> None:
    (choosing,) = (line for line in pipeline[".image"]["script"] if line.startswith("if "))
    said = subprocess.run(
        ["sh", "-euc", f'{choosing}\nprintf %s "$name"'],
        env={"CI_COMMIT_TAG": tag},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == name


def _runs(job: dict[str, Any], command: str) -> bool:
    lines = [*job.get("before_script", ()), *job.get("script", ()), *job.get("after_script", ())]
    return any(command in line for line in lines)
