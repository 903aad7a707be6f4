"""Builds that print a lot, by the builder's own way to Redis: ``python -m bench.chatter URL COUNT``.

Ends when its standard input does.
"""

import asyncio
import os
import sys

from builder.__main__ import NICENESS
from builder.live import RedisLive
from builder.log import Line, Phase, Stream

LINES = 50
"""At a time."""

EVERY_S = 0.02
"""So 2,500 lines a second each, two thirds of the bytes that fill a batch in the time it may wait."""


async def _build(url: str, number: int) -> None:
    live = RedisLive(url, f"p{number}", f"d{number}")
    seq = 0
    try:
        while True:
            for _ in range(LINES):
                seq += 1
                text = f"transforming ({seq}) node_modules/some-package/dist/esm/index-{seq}.js"
                live.send(Line(seq, "2026-01-02T03:04:05.678Z", Stream.STDOUT, Phase.BUILD, text))
            await asyncio.sleep(EVERY_S)
    finally:
        await live.close(1)


async def _main(url: str, count: int) -> None:
    builds = [asyncio.create_task(_build(url, number)) for number in range(count)]
    await asyncio.to_thread(sys.stdin.read)
    for build in builds:
        build.cancel()
    await asyncio.gather(*builds, return_exceptions=True)


if __name__ == "__main__":
    os.nice(NICENESS)
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
