import re
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest

from builder.contract import Contract, SandboxMode, read_contract
from builder.errors import Code, ContractError

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
HAND = {"GITHUB_REPO_URL": "https://github.com/a/b", "projectID": "p1"}
DOCUMENT = Path(__file__).parents[2] / "docs/builder-contract.md"


def read(**env: str) -> Contract:
    return read_contract(HAND | env, now=NOW)


def test_two_variables_are_enough_by_hand() -> None:
    contract = read()
    assert contract.deployment_id.startswith("hand")
    assert contract.artifacts == str(Path.cwd() / "__artifacts")
    assert contract.redis_url is None
    assert contract.sandbox is SandboxMode.BWRAP
    assert contract.deadline == NOW + timedelta(minutes=15)
    assert (contract.attempt, contract.log_first_seq, contract.build_uid) == (1, 1, 210_000)
    limits = contract.limits
    assert (limits.files, limits.file_bytes, limits.site_bytes) == (20_000, 25 * 1024**2, 1024**3)
    assert contract.root_directory == PurePosixPath(".")


def test_values_are_parsed() -> None:
    contract = read(
        BUILD_DEADLINE="2030-01-31T13:00:00+01:00",
        BUILD_ENV='{"A": "é"}',
        ROOT_DIRECTORY="packages/web/",
        MAX_FILE_BYTES="5",
        GIT_REF="release/1.x",
        ALLOW_FILE_REPO="1",
    )
    assert contract.deadline == NOW
    assert contract.build_env == {"A": "é"}
    assert contract.root_directory == PurePosixPath("packages/web")
    assert contract.limits.file_bytes == 5
    assert contract.git_ref == "release/1.x"
    assert contract.allow_file_repo


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_REPO_URL", ""),
        ("GITHUB_REPO_URL", "https://a\nb"),
        ("projectID", ""),
        ("projectID", "../x"),
        ("projectID", "a" * 64),
        ("DEPLOYMENT_ID", "a/b"),
        ("ATTEMPT", "0"),
        ("PREVIOUS_MANIFEST", "dep0"),
        ("PREVIOUS_MANIFEST", "__output/proj1/../manifest.json"),
        ("PREVIOUS_MANIFEST", "__output/proj1/cache/a.tar.zst"),
        ("ATTEMPT", "-1"),
        ("MAX_FILES", "1e9"),
        ("MAX_FILES", "٣"),
        ("ROOT_DIRECTORY", "../x"),
        ("ROOT_DIRECTORY", "/etc"),
        ("OUTPUT_DIRECTORY", "a/../../b"),
        ("OUTPUT_DIRECTORY", ".git"),
        ("BUILD_ENV", "[]"),
        ("BUILD_ENV", "{"),
        ("BUILD_ENV", "[" * 100_000),
        ("BUILD_ENV", '{"PATH": "x"}'),
        ("BUILD_ENV", '{"LD_PRELOAD": "x"}'),
        ("BUILD_ENV", '{"A=B": "x"}'),
        ("BUILD_ENV", '{"A;x": "x"}'),
        ("BUILD_ENV", '{"A": 1}'),
        ("BUILD_ENV", '{"A": "\\u0000"}'),
        ("BUILD_ENV", '{"A": "\\ud800"}'),
        ("ARTIFACTS", "relative"),
        ("ARTIFACTS", "s3://"),
        ("REDIS_URL", "http://x"),
        ("BUILD_DEADLINE", "2030-01-31T12:00:00"),
        ("BUILD_DEADLINE", "soon"),
        ("BUILD_SANDBOX", "docker"),
        ("SUPERVISED", "yes"),
        *(
            ("GIT_REF", ref)
            for ref in (
                "-x",
                "a..b",
                "x.lock",
                "x.lock/y",
                "@{-1}",
                "a;b",
                "$(x)",
                "/a",
                "a/",
                ".a",
                "a//b",
                "a b",
                "@",
                "é",
            )
        ),
    ],
)
def test_a_mistake_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(ContractError) as caught:
        read(**{name: value})
    assert [mistake.split()[0] for mistake in caught.value.mistakes] == [name]


def test_all_mistakes_are_told_together() -> None:
    with pytest.raises(ContractError) as caught:
        read_contract({"MAX_FILES": "x", "BUILD_SANDBOX": "y"}, now=NOW)
    names = {mistake.split()[0] for mistake in caught.value.mistakes}
    assert names == {"GITHUB_REPO_URL", "projectID", "MAX_FILES", "BUILD_SANDBOX"}


def test_every_variable_and_every_code_is_documented() -> None:
    source = (Path(__file__).parents[2] / "builder/contract.py").read_text()
    variables = set(re.findall(r'read\.\w+\("(\w+)"', source))
    document = DOCUMENT.read_text()
    assert len(variables) > 25
    assert {name for name in variables if f"`{name}`" not in document} == set()
    assert {code.value for code in Code if f"`{code}`" not in document} == set()
