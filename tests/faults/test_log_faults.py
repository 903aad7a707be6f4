"""Numbered lines, and everything between the builder and the client failing meanwhile: all of them arrive."""

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import aiohttp
import pytest

from builder.live import RedisLive
from builder.log import BuildLog, Phase, Stream
from builder.record import Progress, log_object
from scalemesh import keys
from scalemesh.logs.archive import fetch_build_log
from scalemesh.model import ProjectID
from tests.logs.build import Build, building
from tests.logs.conftest import OwnValkey, own_valkey
from tests.parts.server import Client, StartServer, eventually
from tests.web.readers import BrokenOff, Kind, following

__all__ = ["own_valkey"]

_BURST = 200
_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Faults:
    lines: int
    valkey_restarts: int
    cuts: int


async def test_a_log_survives_a_few_faults(
    new_server: StartServer, database: str, own_valkey: OwnValkey, tmp_path: Path
) -> None:
    faults = Faults(lines=6_000, valkey_restarts=2, cuts=6)
    await _weather(faults, new_server, database, own_valkey, tmp_path)


@pytest.mark.faults
@pytest.mark.skipif(os.environ.get("TEST_FAULTS") != "1", reason="takes minutes: `make test-faults`")
async def test_a_log_survives_many_faults(
    new_server: StartServer, database: str, own_valkey: OwnValkey, tmp_path: Path
) -> None:
    faults = Faults(lines=100_000, valkey_restarts=5, cuts=20)
    await _weather(faults, new_server, database, own_valkey, tmp_path)


async def _weather(
    faults: Faults, new_server: StartServer, database: str, valkey: OwnValkey, tmp_path: Path
) -> None:
    async with AsyncExitStack() as last, AsyncExitStack() as first:
        server = await first.enter_async_context(new_server(REDIS_URL=valkey.url))
        user = await last.enter_async_context(server.visitor())
        await user.sign_up()
        project = await user.project("http://127.0.0.1:9/none.git")
        build = await last.enter_async_context(
            building(database, valkey.url, tmp_path / "data" / "artifacts", ProjectID(project["projectID"]))
        )
        log, live = _start_log(build, valkey)
        printed = 0

        async def printing() -> None:
            nonlocal printed
            while printed < faults.lines:
                upto = min(printed + _BURST, faults.lines)
                log.write(
                    Phase.BUILD, Stream.STDOUT, [str(number) for number in range(printed + 1, upto + 1)]
                )
                printed = upto
                await asyncio.sleep(0.05)

        async def until_printed(share: float) -> None:
            await eventually(lambda: printed >= faults.lines * share, within_s=300)

        async def restart_valkey() -> None:
            for restart in range(faults.valkey_restarts):
                await until_printed((restart + 1) / (faults.valkey_restarts + 1))
                await valkey.stop()
                await asyncio.sleep(_AGAIN_S)
                await valkey.start()

        async def restart_server() -> None:
            await until_printed(0.5)
            await first.aclose()
            user.port = (await last.enter_async_context(new_server(REDIS_URL=valkey.url))).port

        async with asyncio.timeout(400), asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(_read(user, build.deployment_id, faults))
            breaking = [tasks.create_task(each) for each in (restart_valkey(), restart_server())]
            await printing()
            await asyncio.wait(breaking)
            log.finish()
            await live.close(60)
            record = log_object(log, Progress(), attempt=1, error=None)
            await build.store.write(keys.build_log(build.project_id, build.deployment_id, 1), record)
            await build.end()
        seen, cuts = reading.result()
        expected = [str(number) for number in range(1, faults.lines + 1)]
        assert cuts == faults.cuts
        assert seen == expected
        assert await _stored(build) == expected


def _start_log(build: Build, valkey: OwnValkey) -> tuple[BuildLog, RedisLive]:
    live = RedisLive(valkey.url, build.project_id, build.deployment_id)
    return BuildLog(live, first_seq=1, mask=lambda text: text), live


async def _read(user: Client, deployment_id: str, faults: Faults) -> tuple[list[str], int]:
    """The whole log through clients of every kind in turn, and how often one was cut in the middle."""
    seen: list[str] = []
    cuts = 0
    for kind in cycle(Kind):
        try:
            async with following(user, kind, deployment_id, after=len(seen)) as rows:
                async for row in rows:
                    seen.append(row)
                    if cuts < faults.cuts and len(seen) >= (cuts + 1) * faults.lines // (faults.cuts + 1):
                        cuts += 1
                        break
                else:
                    return seen, cuts
        except (BrokenOff, aiohttp.ClientError):
            await asyncio.sleep(_AGAIN_S)
    raise AssertionError("there is always another kind")


async def _stored(build: Build) -> list[str]:
    log = await fetch_build_log(build.store, build.project_id, build.deployment_id, 1)
    assert log is not None
    assert [line.seq for line in log.lines] == list(range(1, len(log.lines) + 1))
    return [line.text for line in log.lines]
