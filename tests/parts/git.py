"""Real repositories, served by a real ``git http-backend`` over HTTP on the loopback."""

import asyncio
import base64
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import pytest

_SIGNATURE = b"Test <test@scalemesh.invalid>"


@dataclass(frozen=True, slots=True)
class Symlink:
    """A file of a repository that is a symbolic link. ``target`` may be anything, as in a hostile one."""

    target: str


@dataclass(frozen=True, slots=True)
class Submodule:
    """An entry of a repository that is a commit of another one, which ``.gitmodules`` names."""

    sha: str


Files = Mapping[str, str | bytes | Symlink | Submodule]
"""Content by path, with ``/`` between names."""


class GitServer:
    """Bare repositories under ``root`` and the HTTP server that lets anybody clone them."""

    def __init__(self, root: Path, port: int, may_answer: threading.Event) -> None:
        self._root = root
        self._port = port
        self.may_answer = may_answer
        """Whoever asks waits while a test has this cleared."""

    @classmethod
    @contextmanager
    def serve(cls, root: Path, *, login: str | None = None) -> Iterator[Self]:
        """Serves until the block ends; in a thread, so that a test may wait for git where it stands.

        With ``login`` (``user:password``) to nobody else.
        """
        with _Server(root, login) as server:
            thread = threading.Thread(target=server.serve_forever, name="git-server")
            thread.start()
            try:
                yield cls(root, server.server_port, server.may_answer)
            finally:
                server.may_answer.set()
                server.shutdown()
                thread.join()

    def url(self, name: str) -> str:
        """Where ``name`` is cloned from, whether or not there is such a repository."""
        return f"http://127.0.0.1:{self._port}/{name}.git"

    def path(self, name: str) -> Path:
        return self._root / f"{name}.git"

    async def make_repo(self, name: str, files: Files, branch: str = "main") -> str:
        """Makes a repository with one commit and returns its URL. No files: an empty repository."""
        repository = str(self.path(name))
        await self._git("init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}", repository)
        await self._git(f"--git-dir={repository}", "config", "uploadpack.allowAnySHA1InWant", "true")
        if files:
            await self.commit(name, files, "First commit", branch=branch)
        return self.url(name)

    async def commit(self, name: str, files: Files, message: str, branch: str = "main") -> str:
        """Adds or replaces ``files`` on ``branch``, made where it is missing. Returns the commit's id."""
        ref = f"refs/heads/{branch}"
        git_dir = f"--git-dir={self.path(name)}"
        has_parent = bool(await self._git(git_dir, "for-each-ref", ref))
        stream = _commit_stream(ref, files, message, has_parent=has_parent)
        await self._git(git_dir, "fast-import", "--quiet", "--date-format=now", stdin=stream)
        return (await self._git(git_dir, "rev-parse", ref)).decode().strip()

    @staticmethod
    async def _git(*arguments: str, stdin: bytes = b"") -> bytes:
        completed = await asyncio.to_thread(
            subprocess.run,
            ["git", *arguments],
            input=stdin,
            stdout=subprocess.PIPE,
            env=_environment(),
            check=True,
        )
        return completed.stdout


@pytest.fixture(scope="session")
def git_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """One server for a worker: a test gives its repositories names of their own."""
    with GitServer.serve(tmp_path_factory.mktemp("repositories")) as server:
        yield server


class _Server(ThreadingHTTPServer):
    def __init__(self, root: Path, login: str | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.authorization = f"Basic {base64.b64encode(login.encode()).decode()}" if login else None


class _Handler(BaseHTTPRequestHandler):
    """A CGI gateway for the one program that needs it."""

    server: _Server

    def do_GET(self) -> None:
        self.server.may_answer.wait()
        if self.server.authorization not in (None, self.headers.get("Authorization")):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        completed = subprocess.run(
            ["git", "http-backend"],
            input=self.rfile.read(int(self.headers.get("Content-Length", "0"))),
            stdout=subprocess.PIPE,
            env=_environment()
            | {
                "GIT_PROJECT_ROOT": str(self.server.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            },
            check=False,
        )
        head, _, body = completed.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n") if line]
        status = next((value for name, value in headers if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in headers:
            if name not in ("Status", "Content-Length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        # A builder that was killed takes nothing any more.
        with suppress(ConnectionError):
            self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 (the name is http.server's)

    def log_message(self, *_arguments: object) -> None:
        """Requests are not worth a line in the tests' output."""


def _commit_stream(ref: str, files: Files, message: str, *, has_parent: bool) -> bytes:
    """See https://git-scm.com/docs/git-fast-import#_input_format."""
    parts = [b"commit %b\ncommitter %b now\n" % (ref.encode(), _SIGNATURE), _data(message.encode())]
    if has_parent:
        parts.append(b"from %b^0\n" % ref.encode())
    for path, content in files.items():
        if isinstance(content, Submodule):
            parts.append(b"M 160000 %b %b\n" % (content.sha.encode(), path.encode()))
            continue
        mode = b"120000" if isinstance(content, Symlink) else b"100644"
        parts += [b"M %b inline %b\n" % (mode, path.encode()), _data(_bytes(content))]
    return b"".join(parts)


def _bytes(content: str | bytes | Symlink) -> bytes:
    if isinstance(content, Symlink):
        content = content.target
    return content.encode() if isinstance(content, str) else content


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
