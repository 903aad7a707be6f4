"""A builder and what else is on its machine."""

import fcntl
import os
import signal
import termios


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
