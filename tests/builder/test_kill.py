"""Whenever a command is killed, nothing of it stays behind."""

import asyncio
import secrets

from builder.contract import SandboxMode
from builder.log import Phase
from builder.run import OUTER_ENV, kill_tree
from tests.parts.processes import processes_with
from tests.parts.sandbox import open_runner
from tests.parts.server import eventually

TIMES = 40


async def test_a_sandbox_that_is_killed_as_it_starts_leaves_nothing() -> None:
    """bubblewrap's first process waits for bubblewrap before it is bound to its life."""
    command = f"sleep {secrets.randbelow(10**9) + 10**9}"
    with open_runner() as runner:
        for number in range(TIMES):
            process = await asyncio.create_subprocess_exec(
                *runner.contained(command, Phase.BUILD), env=OUTER_ENV, start_new_session=True
            )
            # From before it does anything to after it runs the command.
            await asyncio.sleep(number * 0.0005)
            kill_tree(process, SandboxMode.BWRAP)
            await process.wait()
        await eventually(lambda: processes_with(command), lambda found: not found)
