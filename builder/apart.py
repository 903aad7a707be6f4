"""A builder beside whoever else wants the processors of its machine."""

import contextlib
import os
import threading
import time
from pathlib import Path

NICENESS = 10
"""Of the builder: a server may answer visitors on the same machine."""

SESSION_NICENESS = 19
"""Of a builder's session and of each command's, where Linux weighs sessions against each other: twenty builds
together weigh less than a server.
"""

_GROUP = Path("/proc/self/autogroup")
_GROUP_AGAIN_S = 0.1
"""To others than root the kernel allows one such change a tenth of a second, on the whole machine."""


def give_way() -> None:
    """Lowers the builder and all that it will start. Where that is forbidden, the build goes on as it is."""
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    # What somebody starts by hand leads no session: theirs stays as it is.
    if os.getsid(0) == os.getpid():
        threading.Thread(target=_lower_group, daemon=True).start()


def _lower_group() -> None:
    with contextlib.suppress(OSError), _GROUP.open("wb", buffering=0) as group:
        while group.write(str(SESSION_NICENESS).encode()) is None:
            time.sleep(_GROUP_AGAIN_S)
