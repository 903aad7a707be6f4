"""Watches a command and all that it started: how much memory they use, and that they let others go first."""

import asyncio
import os
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path

from builder.apart import lower_session
from builder.contract import GIB

_OOM_COUNTS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
)
"""Of control groups' version 2 and 1."""

GROWTH_BYTES_PER_S = 4 * GIB
"""Few builds take more. A look reads of each process of the machine, so there is none before a limit could be
reached at that pace.
"""

FIRST_S = 0.1
"""Most sessions, which are to be lowered, begin with the command."""

SHORTEST_S = 0.25
"""Between two looks: the limit leaves the machine what a build takes in that time."""

LONGEST_S = 0.5
"""A session that begins later is not lowered for as long; and a build that grows faster is found."""


async def watch_memory(process: Process, limit_bytes: int, kill: Callable[[Process], None]) -> int:
    """Calls ``kill`` when the tree of ``process`` holds more than ``limit_bytes``; returns what it held.

    Runs until then or until it is cancelled. Lowers the sessions of the tree (``builder.apart``).
    """
    lowered: set[int] = set()
    wait_s = FIRST_S
    while True:
        await asyncio.sleep(wait_s)
        used_bytes = await asyncio.to_thread(_look, process.pid, lowered)
        if used_bytes > limit_bytes:
            kill(process)
            return used_bytes
        at_limit_s = (limit_bytes - used_bytes) / GROWTH_BYTES_PER_S
        wait_s = max(SHORTEST_S, min(at_limit_s, 2 * wait_s, LONGEST_S))


def oom_kills() -> int:
    """How many processes of this control group the kernel has ended for want of memory.

    A container's own group is the one it sees. 0 where there is no such count.
    """
    for path in _OOM_COUNTS:
        try:
            words = path.read_text().split()
        except OSError:
            continue
        if "oom_kill" in words:
            return int(words[words.index("oom_kill") + 1])
    return 0


def _look(pid: int, lowered: set[int]) -> int:
    """The bytes that the tree of ``pid`` holds. ``lowered`` are sessions that need not be lowered again."""
    import psutil

    total = 0
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in tree:
        try:
            total += member.memory_info().rss
            session = os.getsid(member.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue
        if session not in lowered and lower_session(member.pid):
            lowered.add(session)
    return total
