"""The turns at a processor that the kernel gives a server.

What a server has to do takes microseconds, and its visitors wait while a build beside it has its turn of some
milliseconds. Since 6.12 Linux lets the one of two go first who asked for shorter turns; neither gets more of
the processor by that. Before, it takes no notice.
"""

import ctypes
import os
import platform
import sys

TURN_NS = 100_000
"""The shortest there is."""

_RESET_ON_FORK = 1

_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""The system call's number: the C library has its name since 2.41 only, and Python has none."""


class _Attributes(ctypes.Structure):
    """The kernel's ``sched_attr``; ``runtime_ns`` of an ordinary process is its turn."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    )


def take_short_turns() -> None:
    """The calling thread does from here on, but nothing that it starts, where Linux knows such turns.

    Somebody who was given a policy of their own by whoever started them keeps it. What is started from here
    begins at a niceness of 0 where that of the caller is below it. A sandbox may forbid the call: visitors
    wait a little longer beside builds then, and that is all.
    """
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None or os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK != os.SCHED_OTHER:
        return
    attributes = _Attributes(
        size=ctypes.sizeof(_Attributes),
        policy=os.SCHED_OTHER,
        flags=_RESET_ON_FORK,
        nice=os.getpriority(os.PRIO_PROCESS, 0),
        runtime_ns=TURN_NS,
    )
    ctypes.CDLL(None).syscall(number, 0, ctypes.byref(attributes), 0)
