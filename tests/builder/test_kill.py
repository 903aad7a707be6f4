"""Whenever a command is killed, nothing of it stays behind."""

import asyncio
import secrets
from collections.abc import Iterator

import pytest

from builder.contract import SandboxMode
from builder.live import StdoutLive
from builder.log import BuildLog, Phase
from builder.prepare import make_sandbox
from builder.run import OUTER_ENV, Runner, kill_tree
from builder.workspace import open_workspace
from tests.parts.processes import processes_with
from tests.parts.server import eventually

UID = 210_000
TIMES = 40


@pytest.fixture
def runner() -> Iterator[Runner]:
    log = BuildLog(StdoutLive(), first_seq=1, mask=lambda text: text, longest_secret_bytes=0)
    with open_workspace(None) as workspace:
        workspace.repo.mkdir()
        sandbox = make_sandbox(workspace, build_uid=UID, processes=512, shown=(), node=None, python=None)
        if sandbox.uid is not None:
            workspace.hand_over(sandbox.uid)
        yield Runner(SandboxMode.BWRAP, sandbox, workspace, 2**30, log)


async def test_a_sandbox_that_is_killed_as_it_starts_leaves_nothing(runner: Runner) -> None:
    """bubblewrap's first process waits for bubblewrap before it is bound to its life."""
    command = f"sleep {secrets.randbelow(10**9) + 10**9}"
    for number in range(TIMES):
        process = await asyncio.create_subprocess_exec(
            *runner.contained(command, Phase.BUILD), env=OUTER_ENV, start_new_session=True
        )
        # From before it does anything to after it runs the command.
        await asyncio.sleep(number * 0.0005)
        kill_tree(process, SandboxMode.BWRAP)
        await process.wait()
    await eventually(lambda: processes_with(command), lambda found: not found)
