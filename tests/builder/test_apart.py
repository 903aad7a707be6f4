"""A builder has no terminal."""

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import psutil
import pytest

from tests.parts.server import eventually

STANDBY = (sys.executable, "-m", "builder", "--standby")


@asynccontextmanager
async def started(
    argv: Sequence[str], stdin: int = PIPE, start_new_session: bool = False
) -> AsyncIterator[Process]:
    """Killed at the end if it has not ended."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=stdin, stdout=DEVNULL, start_new_session=start_new_session
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
def terminal() -> Iterator[int]:
    """The end that a program gets."""
    ours, theirs = os.openpty()
    yield theirs
    os.close(theirs)
    os.close(ours)


@pytest.mark.parametrize("leads", [True, False], ids=["its session's first", "a shell's child"])
async def test_it_leaves_the_terminal_that_it_was_started_from(terminal: int, *, leads: bool) -> None:
    if shutil.which("setsid") is None:
        pytest.skip("no setsid (util-linux) here")
    argv = STANDBY if leads else ("sh", "-c", '"$@"; true', "sh", *STANDBY)
    async with started(("setsid", "--ctty", *argv), terminal) as process:
        [builder] = await eventually(lambda: builders_below(process.pid))
        await eventually(lambda: builder.terminal() is None)
        await asyncio.sleep(0.2)
        assert builder.is_running()
        assert builder.status() != psutil.STATUS_ZOMBIE


def builders_below(pid: int) -> list[psutil.Process]:
    top = psutil.Process(pid)
    return [
        process for process in (top, *top.children(recursive=True)) if tuple(process.cmdline()) == STANDBY
    ]
