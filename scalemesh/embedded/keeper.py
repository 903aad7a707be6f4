"""Keeps one server running for exactly as long as the process that started this one.

    python -I -S keeper.py LOG PID_FILE STOP_SIGNAL COMMAND…

Standard input is a pipe whose other end only that process holds. Its end, by ``exit`` or by ``kill -9``,
closes the pipe, and the keeper stops the server. When the server ends by itself the keeper exits with
its status. This file runs on its own and imports the standard library only: it starts in a few
milliseconds and stays small.
"""

import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

STOP_GRACE_S = 20.0
"""After this a server that was told to stop is killed. A PostgreSQL checkpoint needs a few seconds."""

_LOG_LIMIT_BYTES = 8 * 1024 * 1024
_LOG_CHECK_S = 60.0
_PREDECESSOR_POLL_S = 0.02
_PARENT = 0  # standard input
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(log_path: Path, pid_file: Path, stop_signal: signal.Signals, command: list[str]) -> int:
    """Runs ``command`` until it ends or standard input does. Returns the exit status."""
    log = os.open(log_path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, sys.stderr.fileno())  # the keeper's own traceback is found where people look
    if not _wait_for_predecessor(log):
        return 0
    os.ftruncate(log, 0)
    # With the lock in hand there is no such server any more: its pid file would only name a stranger
    # that was given the same number, and PostgreSQL would refuse to start for that.
    pid_file.unlink(missing_ok=True)
    wake = _signals_as_pipe()
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        preexec_fn=_ends_with_this_process(stop_signal),  # safe: this process has one thread
    )
    while server.poll() is None:
        ready, _, _ = select.select([_PARENT, wake], [], [], _LOG_CHECK_S)
        if _PARENT in ready and not os.read(_PARENT, 1):
            _stop(server, stop_signal)
        if wake in ready:
            os.read(wake, 512)
        if os.fstat(log).st_size > _LOG_LIMIT_BYTES:
            os.ftruncate(log, 0)
    status = server.returncode
    return status if status >= 0 else 128 - status


def _wait_for_predecessor(log: int) -> bool:
    """Takes the log's lock, or returns False when standard input ends first.

    The server inherits the locked file as its output, so the lock is free only when no process of an
    earlier server is left, not even one of its children.
    """
    while True:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            ready, _, _ = select.select([_PARENT], [], [], _PREDECESSOR_POLL_S)
            if ready and not os.read(_PARENT, 1):
                return False
        else:
            return True


def _signals_as_pipe() -> int:
    """A descriptor that turns readable when the server ends.

    The keeper takes no other signal seriously: what stops a whole service sends one to every process,
    and the server must outlive the requests that its parent is still finishing. Handlers rather than
    SIG_IGN, which the server would inherit.
    """
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)
    return readable


def _ends_with_this_process(stop_signal: signal.Signals) -> Callable[[], None] | None:
    """On Linux: what the server's process does before it becomes the server, so that a ``kill -9`` of
    the keeper stops the server too. Elsewhere the next start stops such a server."""
    if sys.platform != "linux":
        return None
    keeper = os.getpid()
    prctl = ctypes.CDLL(None).prctl

    def set_parent_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, int(stop_signal))
        if os.getppid() != keeper:
            os._exit(1)

    return set_parent_death_signal


def _stop(server: "subprocess.Popen[bytes]", stop_signal: signal.Signals) -> None:
    server.send_signal(stop_signal)
    try:
        server.wait(STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), signal.Signals(int(sys.argv[3])), sys.argv[4:]))
