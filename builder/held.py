"""Directories that go with the process that uses them, however it ends.

Who uses one holds a lock on it (``flock``), which the kernel takes back. So one that nobody holds is what a
process left that was killed, and whoever comes next removes it.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path


def hold(directory: Path) -> int:
    """A descriptor that holds ``directory`` until it is closed."""
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    # A file system without locks: whoever comes next can't lock it either, and leaves it alone.
    with suppress(OSError):
        fcntl.flock(held, fcntl.LOCK_SH)
    return held


def make_held(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new directory and what holds it. Removes what others have left under such names."""
    remove_abandoned(parent, prefix)
    return new_held(parent, prefix)


def new_held(parent: Path, prefix: str) -> tuple[Path, int]:
    """The same, and removes nothing."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        # Somebody may take it for abandoned just before it is held.
        with suppress(FileNotFoundError):
            held = hold(directory)
            if directory.exists():
                return directory, held
            os.close(held)


def remove_abandoned(parent: Path, prefix: str) -> None:
    for directory in parent.glob(f"{prefix}*"):
        with suppress(OSError):  # held, somebody else's, or gone by now
            found = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(found)
