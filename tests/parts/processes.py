"""Processes of the whole machine, found by a word of their command line."""

import psutil

from tests.parts.leftovers import is_alive


def processes_with(word: str) -> list[psutil.Process]:
    """Those that run and have ``word`` in their command line: make it one that no other test uses."""
    return [process for process in psutil.process_iter() if is_alive(process) and word in _line(process)]


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
