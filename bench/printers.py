"""Many builds that print, as Redis hears them: ``python -m bench.printers < print.json``.

One process stands for all of them, since two hundred builders would measure this machine's memory; and it
packs its commands by hand, since a client for each would take more of the two cores than the server does.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import uvloop

from builder.live import BATCH_WAIT_S
from builder.log import Line, Origin, Phase, Stream

# The builds take turns, so that their batches are spread over the time for which each of them waits.
_TURNS = 10


@dataclass(frozen=True, slots=True)
class Printing:
    """``builds``: pairs of projectID and deploymentID. Each prints ``lines`` lines at ``lines_per_s``."""

    redis_url: str
    builds: Sequence[tuple[str, str]]
    lines: int
    lines_per_s: float


async def _print(printing: Printing) -> None:
    url = urlsplit(printing.redis_url)
    reader, writer = await asyncio.open_unix_connection(unquote(url.path))
    writer.write(_command("AUTH", unquote(url.password or "")))
    listening = asyncio.create_task(_listen(reader))
    origin = Origin("2030-01-31T12:00:00.000Z", Stream.STDOUT, Phase.BUILD)
    printed: list[str] = []
    sent = [0] * _TURNS
    began = time.monotonic()
    turn = 0
    while min(sent) < printing.lines:
        await asyncio.sleep(began + turn * BATCH_WAIT_S / _TURNS - time.monotonic())
        due = min(printing.lines, int((time.monotonic() - began) * printing.lines_per_s))
        for seq in range(len(printed) + 1, due + 1):
            text = f"tick {time.time_ns() // 1_000_000} {seq}"
            line = Line(seq, origin, text)
            printed.append(line.to_json())
        slot = turn % _TURNS
        if len(printed) > sent[slot]:
            lines = f"[{','.join(printed[sent[slot] :])}]"
            sent[slot] = len(printed)
            for build in printing.builds[slot::_TURNS]:
                writer.write(_batch(*build, lines, len(printed)))
            await writer.drain()
        turn += 1
    # Redis closes once it has answered all.
    writer.write(_command("QUIT"))
    await listening
    writer.close()


def _batch(project_id: str, deployment_id: str, lines: str, last: int) -> bytes:
    message = f'{{"deploymentID":{json.dumps(deployment_id)},"lines":{lines}}}'
    return _command("XADD", f"build-log:{deployment_id}", f"{last}-0", "lines", lines) + _command(
        "PUBLISH", f"logs:{project_id}", message
    )


def _command(*words: str) -> bytes:
    """What they take as bytes is their length: all of it is ASCII."""
    return "".join([f"*{len(words)}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in words)]).encode("ascii")


async def _listen(reader: asyncio.StreamReader) -> None:
    while answer := await reader.read(1 << 20):
        assert b"\r\n-" not in answer, answer


if __name__ == "__main__":
    uvloop.run(_print(Printing(**json.load(sys.stdin))))
