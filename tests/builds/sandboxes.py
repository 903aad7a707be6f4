"""Starts sandboxes without end, as a builder starts one: ``python -m tests.builds.sandboxes COMMAND``."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL

from builder.contract import SandboxMode
from builder.live import StdoutLive
from builder.log import BuildLog, Phase
from builder.prepare import make_sandbox
from builder.run import OUTER_ENV, Runner
from builder.workspace import open_workspace

UID = 210_000
EVERY_S = 0.002


async def main(command: str) -> None:
    log = BuildLog(StdoutLive(), first_seq=1, mask=lambda text: text, longest_secret_bytes=0)
    with open_workspace(None) as workspace:
        workspace.repo.mkdir()
        sandbox = make_sandbox(workspace, build_uid=UID, processes=512, shown=(), node=None, python=None)
        if sandbox.uid is not None:
            workspace.hand_over(sandbox.uid)
        runner = Runner(SandboxMode.BWRAP, sandbox, workspace, 2**30, log)
        await runner.check()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            await asyncio.create_subprocess_exec(
                *runner.contained(command, Phase.BUILD),
                env=OUTER_ENV,
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=DEVNULL,
                start_new_session=True,
            )
            await asyncio.sleep(EVERY_S)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
