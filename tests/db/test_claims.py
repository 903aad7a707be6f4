"""Who builds what: claims, limits and leases."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from unittest.mock import ANY

import pytest

from scalemesh.db.pool import Pool
from scalemesh.db.queue import (
    BuildFacts,
    Claim,
    LostLease,
    let_lapse,
    mark_canceled,
    mark_failed,
    mark_published,
    put_back,
    renew_lease,
    requeue,
    shorten_leases,
    take_over_lapsed,
)
from scalemesh.model import BuildSettings, Status, Target
from tests.db.rows import BROKEN, FACTS, LEASE, Rows

WRITES: dict[str, Callable[[Pool, Claim], Awaitable[object]]] = {
    "renew": lambda pool, claim: renew_lease(pool, claim, LEASE),
    "published": lambda pool, claim: mark_published(pool, claim, FACTS),
    "failed": lambda pool, claim: mark_failed(pool, claim, BROKEN, FACTS),
    "canceled": lambda pool, claim: mark_canceled(pool, claim, FACTS),
    "requeue": lambda pool, claim: requeue(pool, claim, after=timedelta(0)),
    "put back": lambda pool, claim: put_back(pool, claim, after=timedelta(0)),
}


async def test_the_oldest_is_claimed_first_with_all_that_its_build_needs(rows: Rows) -> None:
    first, second = await rows.project(), await rows.project()
    older = await rows.deployment(first, ref="v1", no_cache=True)
    newer = await rows.deployment(second)

    assert await rows.claim(worker="me") == Claim(
        deployment_id=older.id,
        project_id=first.id,
        attempt=1,
        worker="me",
        target=Target.PREVIEW,
        slug=first.slug,
        git_url="https://example.com/x.git",
        ref="v1",
        build=BuildSettings(branch="main"),
        env_encrypted=None,
        access_token_encrypted=None,
        no_cache=True,
        started_at=ANY,
        deadline=ANY,
        production=None,
    )
    claim = await rows.claim()
    assert claim is not None
    assert (claim.deployment_id, claim.ref) == (newer.id, "main")
    assert await rows.claim() is None


async def test_one_project_builds_one_deployment_after_another(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    first = await rows.building(project)
    second = await rows.deployment(project)
    assert await rows.claim() is None
    await mark_failed(pool, first, BROKEN, BuildFacts())
    claim = await rows.claim()
    assert claim is not None
    assert claim.deployment_id == second.id


async def test_many_claimers_at_once_keep_the_limits_and_never_share_a_deployment(rows: Rows) -> None:
    projects = [await rows.project() for _ in range(8)]
    for project in projects:
        for ref in ("v1", "v2"):
            await rows.deployment(project, ref=ref)

    racers = await asyncio.gather(*(rows.claim(worker=f"w{n}", concurrency=5) for n in range(30)))
    claims = [claim for claim in racers if claim is not None]
    assert len(claims) == 5
    assert len({claim.deployment_id for claim in claims}) == 5

    racers = await asyncio.gather(*(rows.claim(worker=f"w{n}") for n in range(30)))
    claims += [claim for claim in racers if claim is not None]
    assert Counter(claim.project_id for claim in claims) == {project.id: 1 for project in projects}


async def test_a_lease_is_renewed_on_the_databases_clock_and_tells_of_a_cancel(
    pool: Pool, rows: Rows
) -> None:
    claim = await rows.building(await rows.project())
    await rows.lapse()
    before = await pool.fetchval("SELECT now()")
    assert await renew_lease(pool, claim, LEASE) is False
    [(lease_until, after)] = await pool.fetch("SELECT lease_until, now() FROM deployments")
    assert before + LEASE <= lease_until <= after + LEASE
    await pool.execute("UPDATE deployments SET cancel_wanted = true")
    assert await renew_lease(pool, claim, LEASE) is True


@pytest.mark.parametrize("write", WRITES)
async def test_a_worker_that_was_swept_changes_nothing(pool: Pool, rows: Rows, write: str) -> None:
    claim = await rows.building(await rows.project())
    await rows.lapse()
    taken = await take_over_lapsed(pool, worker="sweep", lease=LEASE)
    assert taken is not None
    before = await rows.row(claim.deployment_id)
    with pytest.raises(LostLease):
        await WRITES[write](pool, claim)
    assert await rows.row(claim.deployment_id) == before


@pytest.mark.parametrize("write", WRITES)
async def test_an_earlier_attempt_of_the_same_worker_changes_nothing(
    pool: Pool, rows: Rows, write: str
) -> None:
    claim = await rows.building(await rows.project())
    await requeue(pool, claim, after=timedelta(0))
    again = await rows.claim()
    assert again is not None
    assert (again.attempt, again.worker) == (2, claim.worker)
    before = await rows.row(claim.deployment_id)
    with pytest.raises(LostLease):
        await WRITES[write](pool, claim)
    assert await rows.row(claim.deployment_id) == before


@pytest.mark.parametrize("write", WRITES)
async def test_a_worker_that_let_its_lease_lapse_changes_nothing(pool: Pool, rows: Rows, write: str) -> None:
    claim = await rows.building(await rows.project())
    await let_lapse(pool, claim)
    before = await rows.row(claim.deployment_id)
    with pytest.raises(LostLease):
        await WRITES[write](pool, claim)
    assert await rows.row(claim.deployment_id) == before
    taken = await take_over_lapsed(pool, worker="sweep", lease=LEASE)
    assert taken is not None
    assert taken.deployment_id == claim.deployment_id


async def test_many_sweeps_at_once_take_each_lapsed_deployment_once(pool: Pool, rows: Rows) -> None:
    for _ in range(3):
        await rows.building(await rows.project())
    assert await take_over_lapsed(pool, worker="early", lease=LEASE) is None
    await rows.lapse()
    racers = await asyncio.gather(
        *(take_over_lapsed(pool, worker=f"sweep {n}", lease=LEASE) for n in range(12))
    )
    taken = [claim.deployment_id for claim in racers if claim is not None]
    assert len(taken) == len(set(taken)) == 3
    assert {claim.attempt for claim in racers if claim is not None} == {1}


async def test_what_is_given_back_is_queued_and_keeps_when_it_started(pool: Pool, rows: Rows) -> None:
    claim = await rows.building(await rows.project())
    before = await rows.row(claim.deployment_id)
    assert await requeue(pool, claim, after=timedelta(0)) is Status.QUEUED
    after = await rows.row(claim.deployment_id)
    assert after == {**before, "status": "queued", "worker": None, "lease_until": None, "retry_at": ANY}


async def test_what_never_began_is_put_back_as_if_it_had_not_been_claimed(pool: Pool, rows: Rows) -> None:
    queued = await rows.deployment(await rows.project())
    before = await rows.row(queued.id)
    claim = await rows.claim()
    assert claim is not None
    assert await put_back(pool, claim, after=timedelta(0)) is Status.QUEUED
    assert await rows.row(queued.id) == {**before, "retry_at": ANY}


async def test_a_later_attempt_that_never_began_keeps_the_deadline_of_all(pool: Pool, rows: Rows) -> None:
    claim = await rows.building(await rows.project())
    await requeue(pool, claim, after=timedelta(0))
    again = await rows.claim()
    assert again is not None
    await put_back(pool, again, after=timedelta(0))
    once_more = await rows.claim()
    assert once_more is not None
    assert (once_more.attempt, once_more.deadline) == (2, claim.deadline)


async def test_leases_are_shortened_and_never_lengthened(pool: Pool, rows: Rows) -> None:
    await rows.building(await rows.project())
    before = await pool.fetchval("SELECT now()")
    await shorten_leases(pool, timedelta(seconds=5))
    [(lease_until, after)] = await pool.fetch("SELECT lease_until, now() FROM deployments")
    assert before + timedelta(seconds=5) <= lease_until <= after + timedelta(seconds=5)
    await shorten_leases(pool, timedelta(hours=1))
    assert await pool.fetchval("SELECT lease_until FROM deployments") == lease_until
