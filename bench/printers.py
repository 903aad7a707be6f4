"""Many builds that print, as their builders send it: ``python -m bench.printers < print.json``.

One process stands for all of them: two hundred builders would measure this machine's memory.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import uvloop

from builder.live import RedisLive
from builder.log import Line, Phase, Stream

_STEP_S = 0.01


@dataclass(frozen=True, slots=True)
class Printing:
    """``builds``: pairs of projectID and deploymentID. Each prints ``lines`` lines at ``lines_per_s``."""

    redis_url: str
    builds: Sequence[tuple[str, str]]
    lines: int
    lines_per_s: float


async def _print(printing: Printing) -> None:
    lives = [RedisLive(printing.redis_url, project, deployment) for project, deployment in printing.builds]
    began = time.monotonic()
    printed = 0
    while printed < printing.lines:
        due = min(printing.lines, int((time.monotonic() - began) * printing.lines_per_s))
        for seq in range(printed + 1, due + 1):
            text = f"tick {time.time_ns() // 1_000_000} {seq}"
            line = Line(seq, "2030-01-31T12:00:00.000Z", Stream.STDOUT, Phase.BUILD, text)
            for live in lives:
                live.send(line)
        printed = due
        await asyncio.sleep(_STEP_S)
    await asyncio.gather(*(live.close(30) for live in lives))


if __name__ == "__main__":
    uvloop.run(_print(Printing(**json.load(sys.stdin))))
