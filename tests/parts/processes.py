"""Processes of the whole machine, found by a word of their command line."""

import secrets

import psutil

from tests.parts.leftovers import is_alive, name_of
from tests.parts.server import eventually


def processes_with(word: str) -> list[psutil.Process]:
    """Those that run and have ``word`` in their command line: make it one that no other test uses."""
    return [
        process for process in psutil.process_iter() if is_alive(process) and word in command_line(process)
    ]


def gate() -> str:
    """A command of a build that runs until ``open_gate``, and then fails."""
    return f"sleep {secrets.randbelow(10**9) + 10**9}"


async def open_gate(command: str) -> None:
    """Once somebody runs it."""
    waiting: list[psutil.Process] = await eventually(
        lambda: [process for process in processes_with(command) if name_of(process) == "sleep"], within_s=60
    )
    for process in waiting:
        process.kill()


def command_line(process: psutil.Process) -> str:
    """Empty for one that has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
