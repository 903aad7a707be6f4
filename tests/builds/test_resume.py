"""Builds that outlive their server: followed by whoever takes their lease, and left by whoever lost it.

The launcher here keeps its builds in this process; ``test_docker`` has real containers.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.asyncio import Redis

from scalemesh.artifacts import DirectoryStore
from scalemesh.builds.launcher import LauncherAway, RunningBuild
from scalemesh.db.deployments import request_cancel
from scalemesh.db.pool import Pool
from scalemesh.db.queue import Claim
from scalemesh.model import BuildID, DeploymentID, Failure
from tests.builds.fleet import Fleet
from tests.db.rows import Rows
from tests.parts.server import eventually

GREEDY = Failure("out_of_memory", "Too much.", "Need less.")


@dataclass
class KeptBuild:
    failure: Failure | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: list[bool] = field(default_factory=list)
    left: int = 0

    async def wait(self) -> int:
        await self.ended.wait()
        return 0

    async def stop(self, *, canceled: bool = False) -> None:
        self.stopped.append(canceled)
        self.ended.set()

    async def leave(self) -> None:
        self.left += 1

    def explain(self) -> Failure | None:
        return self.failure


@dataclass
class KeptBuilds:
    builds: dict[BuildID, KeptBuild] = field(default_factory=dict)
    away: bool = False
    asked: bool = False
    answers: asyncio.Event | None = None
    """Where it is slow: what it waits for."""
    outlives_server: bool = True

    async def launch(self, deployment_id: DeploymentID, environment: Mapping[str, str]) -> RunningBuild:
        return self.builds.setdefault(BuildID(deployment_id, int(environment["ATTEMPT"])), KeptBuild())

    async def resume(self, build: BuildID) -> RunningBuild | None:
        self.asked = True
        if self.answers is not None:
            await self.answers.wait()
        if self.away:
            raise LauncherAway("restarting")
        return self.builds.get(build)

    async def list_builds(self) -> Collection[BuildID]:
        return list(self.builds)

    async def remove(self, build: BuildID) -> None:
        del self.builds[build]


@pytest.fixture
async def fleet(pool: Pool, rows: Rows, redis_url: str, tmp_path: Path) -> AsyncIterator[Fleet[KeptBuilds]]:
    async with Redis.from_url(redis_url) as redis:
        yield Fleet(rows, redis, redis_url, DirectoryStore(tmp_path), KeptBuilds())


async def lost(fleet: Fleet[KeptBuilds], build: KeptBuild | None) -> Claim:
    """A deployment whose server is gone, and what the launcher still has of it."""
    claim = await fleet.rows.building(await fleet.rows.project())
    if build is not None:
        fleet.launcher.builds[BuildID(claim.deployment_id, claim.attempt)] = build
    await fleet.rows.lapse()
    return claim


async def is_free(fleet: Fleet[KeptBuilds], deployment_id: DeploymentID) -> bool:
    """Whether no server holds it, so that any may go on with it now."""
    free: bool = await fleet.rows.pool.fetchval(
        "SELECT coalesce(lease_until <= now(), TRUE) FROM deployments WHERE id = $1", deployment_id
    )
    return free


async def test_a_build_that_still_runs_is_followed_to_its_end(fleet: Fleet[KeptBuilds]) -> None:
    build = KeptBuild()
    claim = await lost(fleet, build)
    async with fleet.dispatcher().running():
        await fleet.taken(claim)
        assert await fleet.rows.status(claim.deployment_id) == "building"
        await fleet.publish(claim)
        build.ended.set()
        await fleet.until(claim, "ready")
    assert (await fleet.rows.row(claim.deployment_id))["attempt"] == claim.attempt
    assert build.stopped == [False]


async def test_only_a_build_that_somebody_follows_may_write_its_log(fleet: Fleet[KeptBuilds]) -> None:
    build = KeptBuild()
    followed, gone = await lost(fleet, build), await lost(fleet, None)
    for claim in (followed, gone):
        await fleet.writers.admit(claim.project_id, claim.deployment_id, claim.attempt)
        # And one of which no row tells any more, since its server was killed as it took it back.
        await fleet.writers.admit(claim.project_id, claim.deployment_id, claim.attempt + 1)
    async with fleet.dispatcher().running():
        await eventually(
            fleet.writers.list_admitted, lambda left: left == [(followed.deployment_id, followed.attempt)]
        )
        await fleet.publish(followed)
        build.ended.set()
        await eventually(fleet.writers.list_admitted, lambda left: left == [])


async def test_one_that_is_gone_is_built_again(fleet: Fleet[KeptBuilds]) -> None:
    claim = await lost(fleet, None)
    async with fleet.dispatcher().running():
        await fleet.until(claim, "queued")


async def test_one_whose_cancel_is_wanted_is_stopped(fleet: Fleet[KeptBuilds]) -> None:
    build = KeptBuild()
    project = await fleet.rows.project()
    claim = await fleet.rows.building(project)
    fleet.launcher.builds[BuildID(claim.deployment_id, claim.attempt)] = build
    await request_cancel(fleet.rows.pool, claim.deployment_id, project.user_id)
    await fleet.rows.lapse()
    async with fleet.dispatcher().running():
        await fleet.until(claim, "canceled")
    assert build.stopped[0] is True


async def test_what_the_launcher_knows_of_the_end_is_the_reason(fleet: Fleet[KeptBuilds]) -> None:
    build = KeptBuild(failure=GREEDY)
    build.ended.set()
    claim = await lost(fleet, build)
    async with fleet.dispatcher().running():
        await fleet.until(claim, "failed")
    row = await fleet.rows.row(claim.deployment_id)
    assert (row["error_code"], row["attempt"]) == ("out_of_memory", 1)


async def test_a_server_that_ends_leaves_its_builds_to_the_next_one_at_once(fleet: Fleet[KeptBuilds]) -> None:
    deployment = await fleet.rows.deployment(await fleet.rows.project())
    async with fleet.dispatcher(concurrency=1).running():
        await eventually(lambda: fleet.launcher.builds)
    [(build_id, build)] = fleet.launcher.builds.items()
    assert (build.left, build.stopped) == (1, [])
    row = await fleet.rows.row(deployment.id)
    assert (row["status"], row["attempt"]) == ("building", 1)
    async with fleet.dispatcher().running():
        await eventually(lambda: fleet.rows.row(deployment.id), lambda seen: seen["worker"] != row["worker"])
    assert build_id in fleet.launcher.builds
    assert (build.left, build.stopped) == (2, [])


async def test_however_early_a_server_ends_what_it_claimed_is_free_at_once(fleet: Fleet[KeptBuilds]) -> None:
    deployment = await fleet.rows.deployment(await fleet.rows.project())
    for wait_ms in range(20):
        async with fleet.dispatcher(concurrency=1).running():
            await asyncio.sleep(wait_ms / 1000)
        assert await is_free(fleet, deployment.id)
    for build in fleet.launcher.builds.values():
        assert (build.left > 0, build.stopped) == (True, [])


async def test_a_server_that_ends_waits_for_no_answer_about_what_it_took_over(
    fleet: Fleet[KeptBuilds],
) -> None:
    answers = fleet.launcher.answers = asyncio.Event()
    claim = await lost(fleet, KeptBuild())
    async with fleet.dispatcher().running():
        await eventually(lambda: fleet.launcher.asked)
        # Or the test would end as little as such a server.
        late = asyncio.get_running_loop().call_later(30, answers.set)
    assert not answers.is_set()
    late.cancel()
    assert await is_free(fleet, claim.deployment_id)


async def test_a_server_that_ends_before_a_build_has_begun_gives_it_back(fleet: Fleet[KeptBuilds]) -> None:
    claim = await fleet.rows.building(await fleet.rows.project())
    dispatcher = fleet.dispatcher()
    async with dispatcher.running():
        # Its claim is answered in the same turn of the loop in which the server is told to end.
        work = dispatcher._worker.take_over(claim)
        asyncio.get_running_loop().call_soon(dispatcher._start, claim, work)
    assert await is_free(fleet, claim.deployment_id)


async def test_while_the_launcher_is_away_nothing_is_decided(fleet: Fleet[KeptBuilds]) -> None:
    fleet.launcher.away = True
    claim = await lost(fleet, KeptBuild())
    async with fleet.dispatcher().running():
        await fleet.taken(claim)
    assert await fleet.rows.status(claim.deployment_id) == "building"


async def test_what_no_worker_will_ask_for_is_removed(fleet: Fleet[KeptBuilds]) -> None:
    claim = await fleet.rows.building(await fleet.rows.project())
    wanted = BuildID(claim.deployment_id, claim.attempt)
    earlier = BuildID(claim.deployment_id, claim.attempt + 1)
    nobodys = BuildID(DeploymentID("nobodys"), 1)
    for build in (wanted, earlier, nobodys):
        fleet.launcher.builds[build] = KeptBuild()
    async with fleet.dispatcher().running():
        await eventually(lambda: set(fleet.launcher.builds), lambda left: left == {wanted})
