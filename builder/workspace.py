"""The directories of one build, made at its start and removed at its end."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from builder.held import hold, new_held

VIEW = PurePosixPath("/workspace")
"""Where the sandbox shows ``Workspace.build``: always the same, so no cache or log names a host path."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """``build`` and what is in ``tmp`` belong to the user's commands; the rest of ``root`` is ours alone.

    A command can replace anything below ``build``, ``repo`` included, by a link to somewhere else.
    """

    root: Path

    @property
    def build(self) -> Path:
        return self.root / "build"

    @property
    def repo(self) -> Path:
        return self.build / "repo"

    @property
    def home(self) -> Path:
        return self.build / "home"

    @property
    def tmp(self) -> Path:
        """The commands' /tmp. Outside ``build``, where a command could put a link in its place."""
        return self.root / "tmp"

    @property
    def tools(self) -> Path:
        """``npm install --global`` of a package manager goes here; ``tools/bin`` is on PATH."""
        return self.build / "tools"

    @property
    def etc(self) -> Path:
        """Files that the sandbox shows read-only."""
        return self.root / "etc"

    def hand_over(self, uid: int) -> None:
        """Gives ``build``, all that is in it, and ``tmp`` to ``uid``. No command may have run yet."""
        os.chown(self.tmp, uid, uid)
        os.chown(self.build, uid, uid)
        for directory, names, files in os.walk(self.build):
            for name in (*names, *files):
                os.chown(Path(directory, name), uid, uid, follow_symlinks=False)


@contextmanager
def open_workspace(root: Path | None) -> Iterator[Workspace]:
    """A fresh workspace in ``root``, or in a temporary directory; its contents are removed at the end."""
    if root is None:
        root, held = new_held(Path(tempfile.gettempdir()), "scalemesh-build-")
    else:
        root.mkdir(parents=True, exist_ok=True)
        held = hold(root)
    workspace = Workspace(root)
    try:
        # Another uid has to pass through to ``build`` where there is no sandbox to bind it elsewhere.
        root.chmod(0o711)
        for directory in (workspace.build, workspace.home, workspace.tmp, workspace.tools, workspace.etc):
            directory.mkdir(mode=0o755)
        (workspace.tools / "bin").mkdir()
        yield workspace
    finally:
        _remove(root)
        os.close(held)


def _remove(root: Path) -> None:
    """Removes ``root``, also what a build has made unwritable. Raises ``OSError`` where that fails."""
    try:
        shutil.rmtree(root)
    except PermissionError:
        root.chmod(0o700)
        for directory, names, _ in os.walk(root):
            for path in (Path(directory, name) for name in names):
                if not path.is_symlink():
                    path.chmod(0o700)
        shutil.rmtree(root)
