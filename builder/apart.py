"""A builder beside whoever else wants the processors of its machine."""

import contextlib
import os
import threading
import time
from pathlib import Path

NICENESS = 10
"""Of the builder: a server may answer visitors on the same machine."""

SESSION_NICENESS = 19
"""Of its session and of those of its commands, where Linux weighs sessions against each other: twenty builds
together weigh less than a server.
"""

_AGAIN_S = 0.1


def give_way() -> None:
    """Lowers the builder and all that it will start. Where that is forbidden, the build goes on as it is."""
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    # What somebody starts by hand leads no session: theirs stays as it is.
    if os.getsid(0) == os.getpid():
        threading.Thread(target=_lower_own_session, daemon=True).start()


def lower_session(pid: int) -> bool:
    """Of the process ``pid``. False where it may work the next time.

    To others than root the kernel allows one such change a tenth of a second, on the whole machine.
    """
    try:
        with Path(f"/proc/{pid}/autogroup").open("wb", buffering=0) as group:
            return group.write(str(SESSION_NICENESS).encode()) is not None
    except OSError:
        # There are no such groups, it may not be changed, or the process has ended.
        return True


def _lower_own_session() -> None:
    while not lower_session(os.getpid()):
        time.sleep(_AGAIN_S)
