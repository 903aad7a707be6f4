"""A builder lets others on its machine go first."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.builder.running import Builder
from tests.parts.git import GitServer
from tests.parts.server import eventually

STANDBY = (sys.executable, "-m", "builder", "--standby")
AT_ONCE = 4


def group_niceness(pid: int) -> int:
    """Of the session of ``pid``, which Linux weighs as one against the others."""
    group = Path(f"/proc/{pid}/autogroup")
    found = re.search(r"nice (-?\d+)$", group.read_text().strip()) if group.exists() else None
    return int(found[1]) if found else pytest.skip("sessions are no groups here")


def lowered(niceness: int) -> int:
    return min(os.getpriority(os.PRIO_PROCESS, 0) + niceness, 19)


@asynccontextmanager
async def started(argv: Sequence[str], start_new_session: bool = False) -> AsyncIterator[Process]:
    """Killed at the end if it has not ended."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=PIPE, stdout=DEVNULL, start_new_session=start_new_session
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_build_and_its_session_let_others_go_first(builder: Builder, git_server: GitServer) -> None:
    script = (
        "nice; until grep -q 'nice 19' /proc/self/autogroup; do sleep 0.1; done\n"
        "setsid sh -c 'until grep \"nice 19\" /proc/self/autogroup; do sleep 0.1; done'\n"
        "mkdir dist; echo hi > dist/index.html"
    )
    group_niceness(os.getpid())
    url = await git_server.make_repo("nice", {"build.sh": script})
    built = await builder.run(url, BUILD_COMMAND="sh build.sh")
    assert built.exit == 0, built.text
    assert f"\n{lowered(15)}\n" in built.text
    assert re.search(r"^/autogroup-\d+ nice 19$", built.text, re.MULTILINE)


async def test_those_that_start_together_all_do() -> None:
    """Without privileges the kernel changes one session a tenth of a second."""
    group_niceness(os.getpid())
    drop = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--") if os.geteuid() == 0 else ()
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(_until_its_session_is_lowered((*drop, *STANDBY)))


async def _until_its_session_is_lowered(argv: Sequence[str]) -> None:
    async with started(argv, start_new_session=True) as process:
        await eventually(lambda: group_niceness(process.pid), lambda niceness: niceness == 19)


async def test_the_session_of_whoever_starts_one_by_hand_stays_as_it_is() -> None:
    before = group_niceness(os.getpid())
    async with started(STANDBY) as process:
        await process.communicate(b"")
    assert process.returncode == 0
    assert group_niceness(os.getpid()) == before
