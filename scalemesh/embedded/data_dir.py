"""The data directory: who holds it, and where its servers put their sockets."""

import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scalemesh.embedded.errors import DataDirInUse, DataDirUnusable

_SOCKET_PATH_LIMIT_BYTES = 103
"""A Unix socket's address has 104 bytes on macOS and 108 on Linux, its final NUL included."""

_LONGEST_SOCKET_NAME = "/valkey/valkey.sock"


@contextmanager
def hold_data_dir(path: Path) -> Iterator[Path]:
    """Creates the data directory and keeps every other Scale Mesh out of it until the block ends.

    Yields its absolute path. A new directory is for this user alone (0700); one that exists keeps its
    mode. Its ``lock`` file holds this process's id; the lock goes with the process, so nothing is left
    to clean up after a crash. Raises DataDirInUse and DataDirUnusable.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataDirUnusable(path, error.strerror or str(error)) from error
    with os.fdopen(descriptor, "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = lock.read().strip()
            raise DataDirInUse(path, int(pid) if pid.isdecimal() else None) from None
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield path.resolve()


def socket_dir(data_dir: Path) -> Path:
    """A directory for sockets that only this user can enter, with a path short enough for a socket.

    It is ``run`` in the data directory, or, where that path will not do, a directory with a name of its
    own below the system's temporary directory. Raises DataDirUnusable where it belongs to another user.
    """
    directory = data_dir / "run"
    is_long = len(os.fsencode(directory)) + len(_LONGEST_SOCKET_NAME) > _SOCKET_PATH_LIMIT_BYTES
    # A comma separates hosts in a PostgreSQL URL, even when it is percent-encoded.
    if is_long or "," in str(directory):
        digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
        directory = Path(tempfile.gettempdir(), f"scalemesh-{digest}")
    directory.mkdir(mode=0o700, exist_ok=True)
    # Anybody may have made a directory, or a link, of that name in a shared temporary directory.
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise DataDirUnusable(directory, "it is not a directory of this user")
    directory.chmod(0o700)
    return directory
