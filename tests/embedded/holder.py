"""A process that runs the embedded servers until it is ended: ``python -m tests.embedded.holder DIR``.

Prints one line once they are ready.
"""

import asyncio
import signal
import sys
from pathlib import Path

from scalemesh.embedded import embedded_servers, hold_data_dir


async def hold(path: Path) -> None:
    with hold_data_dir(path) as data_dir:
        async with embedded_servers(data_dir):
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


if __name__ == "__main__":
    # A shell that starts tests in the background has them ignore Ctrl-C, and their children too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asyncio.run(hold(Path(sys.argv[1])))
