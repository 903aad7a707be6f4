"""A private repository: git proves itself with a token that nobody else gets to see."""

import base64
import os
import subprocess
from asyncio.subprocess import Process
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from builder.gitauth import token_environment
from builder.giturl import parse_repo_url
from tests.builder.running import TIMEOUT_S, Builder, until
from tests.parts.git import GitServer

TOKEN = "ghp-s3cr3t-t0ken"
ENCODED = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
LEAKED = ("s3cr3t", ENCODED)

LOOK = """
mkdir dist
{ env; git config --list --show-origin; cat .git/config; } > dist/index.html 2>&1
cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /etc/scalemesh-env >> dist/index.html 2>/dev/null
echo my token is ghp-s3cr3t-t0ken
"""


@pytest.fixture
def private(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer.serve(tmp_path / "private", login=f"x-access-token:{TOKEN}") as server:
        yield server


async def test_a_private_repository_is_built_and_its_token_stays_hidden(
    builder: Builder, private: GitServer
) -> None:
    url = await private.make_repo("site", {"build.sh": LOOK})
    private.may_answer.clear()
    process = await builder.start(url, GIT_TOKEN=TOKEN, BUILD_COMMAND="sh build.sh", OUTPUT_DIRECTORY="dist")
    seen = await _watch(process, private)
    built = await builder.finish(process)

    assert built.exit == 0, built.text
    # Some process had it where only its own user looks, and none in an argument.
    assert any(ENCODED in environment for _, environment in seen)
    assert [arguments for arguments, _ in seen if any(word in arguments for word in LEAKED)] == []
    assert [word for word in LEAKED if word in built.live + built.errors + built.text] == []
    assert "my token is ***" in built.text
    assert built.manifest is not None
    page = built.blob(built.manifest["files"]["/index.html"]["sha256"]).decode(errors="replace")
    assert f"remote.origin.url={url}" in page
    assert [word for word in LEAKED if word in page] == []


async def _watch(process: Process, private: GitServer) -> set[tuple[str, str]]:
    """Arguments and environment of the processes below the builder until it has cloned."""
    seen: set[tuple[str, str]] = set()

    def look(word: str) -> bool:
        below = _below(process)
        seen.update(below)
        return any(word in arguments for arguments, _ in below)

    await until(lambda: look("git-remote-http"), TIMEOUT_S)
    private.may_answer.set()
    await until(lambda: not look("git"), TIMEOUT_S)
    return seen


def _below(process: Process) -> list[tuple[str, str]]:
    """None where the builder has ended."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
                found.append((" ".join(child.cmdline()), str(child.environ())))
    return found


async def test_a_commit_of_a_private_repository_is_built(builder: Builder, private: GitServer) -> None:
    url = await private.make_repo("commits", {"index.html": "one"})
    sha = await private.commit("commits", {"index.html": "two"}, "Second")
    built = await builder.run(url, GIT_TOKEN=TOKEN, GIT_REF=sha)
    assert built.exit == 0, built.text


@pytest.mark.parametrize(
    ("token", "hint"), [("", "save an access token"), ("wr0ng-token", "may read it and has not expired")]
)
async def test_without_the_right_token_the_hint_says_what_to_do(
    builder: Builder, private: GitServer, token: str, hint: str
) -> None:
    url = await private.make_repo("closed", {"index.html": "hi"})
    built = await builder.run(url, GIT_TOKEN=token)
    assert (built.exit, built.code) == (1, "repository_not_found")
    assert hint in built.result["error"]["hint"]


async def test_a_login_of_its_own_is_user_and_token(builder: Builder, tmp_path: Path) -> None:
    with GitServer.serve(tmp_path / "gitlab", login="deploy-bot:t0ken-of-bot") as server:
        url = await server.make_repo("site", {"index.html": "hi"})
        built = await builder.run(url, GIT_TOKEN="deploy-bot:t0ken-of-bot")
    assert built.exit == 0, built.text


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://github.com/a/b", "http.https://github.com:443/.extraHeader"),
        ("https://git.example.org:8443/a", "http.https://git.example.org:8443/.extraHeader"),
        ("http://[::1]/a", "http.http://[::1]:80/.extraHeader"),
    ],
)
def test_the_token_is_for_one_host(url: str, key: str) -> None:
    parsed = parse_repo_url(url, allow_local=True, allow_file=False)
    assert token_environment(parsed, TOKEN) == {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": key,
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {ENCODED}",
    }
    assert token_environment(parsed, None) == {}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("https://github.com/a/b", True),
        ("https://github.com:443/a/b", True),
        ("https://github.com.evil.example/a/b", False),
        ("https://evil.example/github.com", False),
        ("https://github.com:444/a/b", False),
        ("http://github.com/a/b", False),
    ],
)
def test_git_itself_sends_the_token_nowhere_else(asked: str, sent: bool) -> None:
    parsed = parse_repo_url("https://github.com/a/b", allow_local=False, allow_file=False)
    found = subprocess.run(
        ["git", "config", "--get-urlmatch", "http.extraHeader", asked],
        env={"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        | token_environment(parsed, TOKEN),
        capture_output=True,
        check=False,
    )
    assert (ENCODED in found.stdout.decode()) is sent
