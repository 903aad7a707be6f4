"""Deployments whose worker is gone: what the sweep makes of them, and their logs."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from scalemesh import keys
from scalemesh.artifacts import DirectoryStore
from scalemesh.auth.secretbox import SecretBox
from scalemesh.builds.dispatcher import Dispatcher
from scalemesh.builds.order import BuildPlace
from scalemesh.builds.outcome import LOST
from scalemesh.builds.process import ProcessLauncher
from scalemesh.builds.worker import Worker
from scalemesh.db.deployments import request_cancel
from scalemesh.db.pool import Pool
from scalemesh.db.queue import Claim, requeue
from scalemesh.logs.archive import BuildLog, BuildResult, fetch_build_log, write_build_log
from scalemesh.logs.events import Announcer
from scalemesh.model import LogLine, Project, QueueLimits
from tests.db.rows import Rows
from tests.parts.server import eventually


@dataclass(frozen=True, slots=True)
class Sweep:
    """A dispatcher that builds nothing, and what lost builders have left."""

    rows: Rows
    redis: Redis
    store: DirectoryStore
    dispatcher: Dispatcher

    async def lost(self, project: Project, *, attempt: int) -> Claim:
        claim = await self.rows.building(project)
        for _ in range(attempt - 1):
            await requeue(self.rows.pool, claim, after=timedelta(0))
            again = await self.rows.claim()
            assert again is not None
            claim = again
        return claim

    async def until(self, claim: Claim, status: str, *, only_copy: bool = False) -> None:
        """Sweeps until the deployment has this ``status``, then looks that the log's stream may go.

        That is soon, or where it is the ``only_copy`` of what it has, in days.
        """
        async with self.dispatcher.running():
            await eventually(lambda: self.rows.status(claim.deployment_id), lambda seen: seen == status)
        kept_s = await self.redis.ttl(keys.log_stream(claim.deployment_id))
        assert kept_s > 24 * 3600 if only_copy else 0 < kept_s <= 60
        await self.redis.flushall()

    async def print(self, claim: Claim, *texts: str, first: int = 1) -> None:
        """As the builder does, a batch for all of them."""
        lines = [
            {"seq": seq, "time": "t", "stream": "stdout", "phase": "build", "text": text}
            for seq, text in enumerate(texts, first)
        ]
        await self.redis.xadd(
            keys.log_stream(claim.deployment_id),
            {"lines": json.dumps(lines)},
            id=f"{lines[-1]['seq']}-0",
        )

    async def archive(self, claim: Claim, text: str, *, seq: int, exit_: int, attempt: int = 1) -> None:
        """As the builder does at its end."""
        log = BuildLog(
            [LogLine(seq, "t", "system", "publish", text)],
            BuildResult(attempt, exit_, "c" * 40, "One", "static", 2, 30, None),
        )
        await write_build_log(self.store, claim.project_id, claim.deployment_id, attempt, log)

    async def log(self, claim: Claim) -> list[tuple[int, str]]:
        """Numbers and texts, from the archive."""
        log = await fetch_build_log(self.store, claim.project_id, claim.deployment_id, claim.attempt)
        assert log is not None
        return [(line.seq, line.text) for line in log.lines]


@pytest.fixture
async def sweep(pool: Pool, rows: Rows, redis_url: str, tmp_path: Path) -> AsyncIterator[Sweep]:
    store = DirectoryStore(tmp_path)
    place = BuildPlace(
        artifacts=store.url,
        s3_endpoint_url="",
        redis_url=redis_url,
        sandbox="bwrap",
        allow_local_repos=False,
        examples=tmp_path,
    )
    async with Redis.from_url(redis_url) as redis:
        worker = Worker(
            pool,
            redis,
            store,
            ProcessLauncher(),
            SecretBox("a key for tests only"),
            place,
            site_url=lambda slug: f"http://{slug}.localhost",
        )
        dispatcher = Dispatcher(
            pool,
            store,
            worker,
            Announcer(redis),
            limits=QueueLimits(builds=0, builds_per_user=1),
            build_timeout=timedelta(seconds=60),
            queue_timeout=timedelta(hours=1),
            alone=False,
        )
        yield Sweep(rows, redis, store, dispatcher)


async def test_a_lost_deployment_is_queued_again(sweep: Sweep, rows: Rows) -> None:
    claim = await sweep.lost(await rows.project(), attempt=2)
    await sweep.print(claim, "one", "two")
    await rows.lapse()
    await sweep.until(claim, "queued", only_copy=True)
    assert await sweep.log(claim) == [
        (1, "one"),
        (2, "two"),
        (3, "The build was interrupted. It starts again."),
    ]


async def test_one_that_was_lost_three_times_fails_and_its_log_ends_with_the_reason(
    sweep: Sweep, rows: Rows
) -> None:
    project = await rows.project()
    live = await rows.live(project)
    claim = await sweep.lost(project, attempt=3)
    await sweep.print(claim, "one", "two")
    await rows.lapse()
    await sweep.until(claim, "failed")
    assert (await rows.row(claim.deployment_id))["error_code"] == "builder_lost"
    assert await sweep.log(claim) == [(1, "one"), (2, "two"), (3, f"{LOST.message} {LOST.hint}")]
    assert await rows.production(project) == live


async def test_one_whose_archive_is_damaged_fails_and_keeps_its_stream(sweep: Sweep, rows: Rows) -> None:
    claim = await sweep.lost(await rows.project(), attempt=3)
    await sweep.print(claim, "one")
    await sweep.store.write(keys.build_log(claim.project_id, claim.deployment_id, 3), b"rot")
    await rows.lapse()
    await sweep.until(claim, "failed", only_copy=True)


async def test_one_whose_cancel_was_wanted_is_canceled(sweep: Sweep, rows: Rows) -> None:
    project = await rows.project()
    claim = await sweep.lost(project, attempt=1)
    await request_cancel(rows.pool, claim.deployment_id, project.user_id)
    await rows.lapse()
    await sweep.until(claim, "canceled")
    assert await sweep.log(claim) == [(1, "The build was canceled.")]


async def test_one_whose_builder_had_published_goes_live(sweep: Sweep, rows: Rows) -> None:
    project = await rows.project()
    claim = await sweep.lost(project, attempt=2)
    await sweep.print(claim, "of the first attempt")
    await sweep.print(claim, "Published.", first=2)
    await sweep.archive(claim, "Published.", seq=2, exit_=0, attempt=2)
    own, first = (keys.manifest(project.id, claim.deployment_id, attempt) for attempt in (2, 1))
    await sweep.store.write(own, b"{}")
    await rows.lapse()
    await sweep.until(claim, "ready")
    assert await rows.production(project) == claim.deployment_id
    assert await sweep.store.read(first, max_bytes=100) == b"{}"
    assert await sweep.log(claim) == [(1, "of the first attempt"), (2, "Published.")]


async def test_what_an_earlier_attempt_has_archived_decides_nothing(sweep: Sweep, rows: Rows) -> None:
    claim = await sweep.lost(await rows.project(), attempt=3)
    await sweep.archive(claim, "Published.", seq=1, exit_=0)
    await sweep.print(claim, "Published.", "of the third attempt")
    await rows.lapse()
    await sweep.until(claim, "failed")
    assert [seq for seq, _ in await sweep.log(claim)] == [1, 2, 3]


async def test_what_redis_has_lost_of_an_earlier_attempt_comes_from_its_archive(
    sweep: Sweep, rows: Rows
) -> None:
    claim = await sweep.lost(await rows.project(), attempt=2)
    await sweep.archive(claim, "of the first attempt", seq=1, exit_=3)
    await sweep.print(claim, "of the second", first=2)
    await sweep.archive(claim, "Published.", seq=3, exit_=0, attempt=2)
    await rows.lapse()
    await sweep.until(claim, "ready")
    assert await sweep.log(claim) == [(1, "of the first attempt"), (2, "of the second"), (3, "Published.")]


async def test_the_last_word_follows_lines_that_never_reached_the_stream(sweep: Sweep, rows: Rows) -> None:
    claim = await sweep.lost(await rows.project(), attempt=3)
    await sweep.print(claim, "one")
    await sweep.archive(claim, "The store is away.", seq=2, exit_=3, attempt=3)
    await rows.lapse()
    await sweep.until(claim, "failed")
    assert await sweep.log(claim) == [
        (1, "one"),
        (2, "The store is away."),
        (3, f"{LOST.message} {LOST.hint}"),
    ]


async def test_a_deployment_whose_lease_holds_is_left_to_its_worker(sweep: Sweep, rows: Rows) -> None:
    held = await rows.building(await rows.project())
    lost = await sweep.lost(await rows.project(), attempt=1)
    await rows.pool.execute("UPDATE deployments SET lease_until = now() WHERE id = $1", lost.deployment_id)
    await sweep.until(lost, "queued", only_copy=True)
    assert await rows.status(held.deployment_id) == "building"
