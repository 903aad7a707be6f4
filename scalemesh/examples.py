"""The bundled example apps, offered as git repositories: ``example:{slug}`` is such a repository's URL.

The files live in ``examples/{slug}``; the repositories are made from them under the data directory, so
the installed files may be read-only and no network is needed.
"""

import asyncio
import hashlib
import os
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from dataclasses import dataclass
from pathlib import Path

from scalemesh.errors import ScaleMeshError

URL_PREFIX = "example:"
_NOT_SOURCE = {"node_modules", "dist", ".git"}

# Fixed, so that the same files are the same commit on every machine and after every restart.
_SIGNATURE = b"Scale Mesh <examples@scalemesh.invalid> 1735689600 +0000"
_BRANCH = b"refs/heads/main"


@dataclass(frozen=True, slots=True)
class Example:
    slug: str
    title: str
    description: str

    @property
    def git_url(self) -> str:
        return f"{URL_PREFIX}{self.slug}"


EXAMPLES = (
    Example("plain-html", "Plain HTML", "A small site of HTML, CSS and JavaScript files. Nothing to build."),
    Example("vite-react", "Vite + React", "A React app that Vite builds, with its packages from npm."),
)


class ExamplesNotPrepared(ScaleMeshError):
    """git is missing or could not write the repository; the sentence ends with what it said."""

    code = "examples_not_prepared"


async def prepare_examples(source: Path, destination: Path) -> None:
    """Makes ``destination/{slug}.git`` from the files in ``source/{slug}``, for every example.

    A bare repository with one commit on ``main``. A repository that is current stays untouched; an
    older one gets its new commit in one step, so it can be cloned at any time. Raises
    ExamplesNotPrepared.
    """
    destination.mkdir(mode=0o700, parents=True, exist_ok=True)
    for example in EXAMPLES:
        files = await asyncio.to_thread(_read_files, source / example.slug)
        await _refresh(destination / f"{example.slug}.git", _import_stream(example, files))


def example_repository(destination: Path, git_url: str) -> Path | None:
    """The repository that an ``example:`` URL means; None for any other URL."""
    for example in EXAMPLES:
        if git_url == example.git_url:
            return destination / f"{example.slug}.git"
    return None


def _read_files(root: Path) -> dict[str, bytes]:
    """Every regular file below ``root`` by its path with ``/`` between names, in a fixed order."""
    files = {}
    for directory, subdirectories, names in os.walk(root):
        subdirectories[:] = [name for name in subdirectories if name not in _NOT_SOURCE]
        for name in names:
            path = Path(directory, name)
            if path.is_file() and not path.is_symlink():
                files[path.relative_to(root).as_posix()] = path.read_bytes()
    return dict(sorted(files.items()))


def _import_stream(example: Example, files: dict[str, bytes]) -> bytes:
    """What ``git fast-import`` reads: one commit, written without an index or a working tree.

    See https://git-scm.com/docs/git-fast-import#_input_format.
    """
    message = f"{example.title}: {example.description}\n".encode()
    parts = [b"commit %b\nauthor %b\ncommitter %b\n" % (_BRANCH, _SIGNATURE, _SIGNATURE), _data(message)]
    for path, content in files.items():
        parts += [b"M 100644 inline %b\n" % path.encode(), _data(content)]
    return b"".join(parts)


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


async def _refresh(repository: Path, stream: bytes) -> None:
    # Written last: a repository whose making was interrupted has none, and is made again.
    current = repository / "scalemesh-source-sha256"
    digest = hashlib.sha256(stream).hexdigest()
    if current.exists() and current.read_text() == digest:
        return
    await _git(b"", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(repository))
    # --force: the new commit does not descend from the old one.
    await _git(stream, f"--git-dir={repository}", "fast-import", "--quiet", "--force")
    current.write_text(digest)


async def _git(stdin: bytes, *arguments: str) -> None:
    """Runs git with none of the user's settings: neither their configuration nor a ``GIT_DIR``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        process = await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            stdin=PIPE if stdin else DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env=inherited | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        )
    except FileNotFoundError:
        raise ExamplesNotPrepared("The examples need git, and there is no `git` on PATH.") from None
    output, _ = await process.communicate(stdin or None)
    if process.returncode != 0:
        said = output.decode(errors="replace").strip()
        raise ExamplesNotPrepared(f"git could not prepare the examples. It said: {said}")
