"""Starts sandboxes without end, as a builder starts one: ``python -m tests.builds.sandboxes COMMAND``."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL

from builder.log import Phase
from builder.run import OUTER_ENV
from tests.parts.sandbox import open_runner

EVERY_S = 0.002


async def main(command: str) -> None:
    with open_runner() as runner:
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
