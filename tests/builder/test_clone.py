"""git fetches one commit, and runs nothing of the repository's, the host's or the machine's choosing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from builder.clone import fetch_arguments, fetch_sha_arguments
from builder.git import SAFE_CONFIG, git_environment
from builder.giturl import parse_repo_url
from builder.route import Route
from tests.builder.running import Builder
from tests.parts.git import Files, GitServer, Submodule


@pytest.mark.parametrize("ref", [None, "main", "a" * 40])
def test_what_a_user_gives_is_never_an_option(ref: str | None) -> None:
    fetched = fetch_arguments("--upload-pack=x", ref, Path("/r"))
    for argv in (fetched, fetch_sha_arguments("--upload-pack=x", "a" * 40, Path("/r"))):
        options = argv[: argv.index("--")]
        assert "--upload-pack=x" not in options
        assert ref not in options


def test_git_sees_its_own_environment_and_no_others() -> None:
    url = parse_repo_url("https://git.example.com/a", allow_local=False, allow_file=False)
    environ = {"PATH": "/bin", "HOME": "/root", "GIT_SSH_COMMAND": "x", "GIT_DIR": "/x", "AWS_SECRET": "x"}
    assert git_environment(url, Route(()), environ, token=None) == {
        "PATH": "/bin",
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "GIT_ALLOW_PROTOCOL": "https",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
    }
    assert {"core.hooksPath=/dev/null", "http.followRedirects=false", "submodule.recurse=false"} <= {
        *SAFE_CONFIG
    }


async def test_a_hook_of_the_machine_is_not_run(
    builder: Builder, git_server: GitServer, tmp_path: Path
) -> None:
    hook = tmp_path / "hooks/reference-transaction"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    (tmp_path / ".gitconfig").write_text(f"[core]\nhooksPath = {hook.parent}\n")
    url = await git_server.make_repo("hooked", {"index.html": "a"})
    built = await builder.run(url, HOME=str(tmp_path))
    assert built.exit == 0, built.errors
    assert not (tmp_path / "ran").exists()


async def test_a_submodule_of_this_machine_is_not_fetched(builder: Builder, git_server: GitServer) -> None:
    await git_server.make_repo("machines-own", {"secret.html": "of this machine"})
    sha = await git_server.commit("machines-own", {"more.html": "more"}, "More")
    modules = f'[submodule "x"]\npath = x\nurl = file://{git_server.path("machines-own")}\n'
    files: Files = {"index.html": "a", ".gitmodules": modules, "x": Submodule(sha)}
    built = await builder.run(await git_server.make_repo("with-submodule", files))
    assert built.exit == 0, built.errors
    assert built.manifest is not None
    assert [*built.manifest["files"]] == ["/index.html"]
    assert "not fetched" in built.text


async def test_a_redirect_is_not_followed(builder: Builder, git_server: GitServer) -> None:
    elsewhere = await git_server.make_repo("elsewhere", {"index.html": "of another host"})
    with redirecting_to(elsewhere) as url:
        built = await builder.run(url)
    assert (built.exit, built.code) == (1, "clone_failed"), built.text
    assert built.manifest is None


@contextmanager
def redirecting_to(elsewhere: str) -> Iterator[str]:
    """The URL of a repository whose host sends git to another."""

    class Redirect(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", elsewhere + "/" + self.path.partition(".git/")[2])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Requests are not worth a line in the tests' output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Redirect) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/moved.git"
        finally:
            server.shutdown()
            thread.join()
