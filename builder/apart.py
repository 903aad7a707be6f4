"""A builder and what else is on its machine: a terminal, and whoever wants the processors."""

import contextlib
import fcntl
import os
import signal
import termios
import threading
import time
from pathlib import Path

NICENESS = 10
"""Of the builder: a server may answer visitors on the same machine."""

_GROUP_NICENESS = 19
"""Of its session, the least there is: an ordinary program weighs three times as much as twenty builds."""

_GROUP = Path("/proc/self/autogroup")
_GROUP_AGAIN_S = 0.1
"""To others than root the kernel allows one such change a tenth of a second, on the whole machine."""


def leave_terminal() -> None:
    """A command stays in the builder's session and could type into its terminal, and so act as its user."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return
    # Who leads the session hangs up by this, also on itself.
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        fcntl.ioctl(terminal, termios.TIOCNOTTY)
    finally:
        signal.signal(signal.SIGHUP, before)
        os.close(terminal)


def give_way() -> None:
    """Lowers the builder and all that it will start. Where that is forbidden, the build goes on as it is."""
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    # Linux may weigh a session's processes against each other only, and the session against the others.
    # It is the builder's to lower where the builder leads it.
    if os.getsid(0) == os.getpid():
        threading.Thread(target=_lower_group, daemon=True).start()


def _lower_group() -> None:
    with contextlib.suppress(OSError), _GROUP.open("wb", buffering=0) as group:
        while group.write(str(_GROUP_NICENESS).encode()) is None:
            time.sleep(_GROUP_AGAIN_S)
