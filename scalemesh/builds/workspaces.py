"""The directories in which builders of this machine work, removed also where nobody was left to do it.

The server that made one and the builder in it each hold a lock on it (``flock``), which the kernel takes
back. So one that nobody holds belonged to a server and a builder that were both killed.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_PREFIX = "scalemesh-build-"


@contextmanager
def new_workspace() -> Iterator[Path]:
    """An empty directory, removed at the end with all that a builder has left in it."""
    while True:
        workspace = Path(tempfile.mkdtemp(prefix=_PREFIX))
        # Another server may take it for abandoned just before it is held.
        with suppress(FileNotFoundError):
            held = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(held, fcntl.LOCK_SH)
            if workspace.exists():
                break
            os.close(held)
    try:
        yield workspace
    finally:
        _remove(workspace)
        os.close(held)


def remove_abandoned() -> None:
    """What killed servers with killed builders have left."""
    for workspace in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # held, another user's, or gone by now
            found = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(found).st_uid == os.geteuid():
                    _remove(workspace)
            finally:
                os.close(found)


def _remove(workspace: Path) -> None:
    if not workspace.exists():
        return  # as its builder does at its own end
    _end_sandboxes(workspace)
    # What a build has made unreadable as well: each directory before the walk goes into it.
    for directory, names, _ in os.walk(workspace):
        for path in (Path(directory, name) for name in names):
            with suppress(OSError):
                if not path.is_symlink():
                    path.chmod(0o700)
    shutil.rmtree(workspace, ignore_errors=True)


def _end_sandboxes(workspace: Path) -> None:
    """One that was just starting as its builder was killed is not yet bound to the builder's life.

    bubblewrap's arguments name the workspace, those of what runs inside need not; that ends with it.
    """
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(str(workspace) in argument for argument in process.cmdline()):
                process.kill()
