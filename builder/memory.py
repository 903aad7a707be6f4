"""Watches how much memory a command and all that it started use."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import Callable

INTERVAL_S = 0.25
"""A build can take about a gigabyte in that time; the limit leaves the machine that much."""


async def watch_memory(process: Process, limit_bytes: int, kill: Callable[[Process], None]) -> int:
    """Calls ``kill`` when the tree of ``process`` holds more than ``limit_bytes``; returns what it held.

    Runs until then or until it is cancelled.
    """
    while True:
        await asyncio.sleep(INTERVAL_S)
        used_bytes = await asyncio.to_thread(_resident_bytes, process.pid)
        if used_bytes > limit_bytes:
            kill(process)
            return used_bytes


def _resident_bytes(pid: int) -> int:
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
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total
