"""Which deployment is live, and who may change that."""

import asyncio

import pytest

from scalemesh.db.deployments import promote_deployment, request_cancel
from scalemesh.db.pool import Pool
from scalemesh.db.projects import delete_project
from scalemesh.db.queue import BuildFacts, mark_failed, mark_published
from scalemesh.errors import CannotPromote, DeploymentNotFound
from scalemesh.model import Status
from tests.db.rows import BROKEN, FACTS, Rows


async def test_publishing_goes_live_with_what_the_builder_learned(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    claim = await rows.building(project)
    published = await mark_published(pool, claim, FACTS)
    assert published.status is Status.READY
    facts = (published.commit, published.commit_message, published.framework, published.files)
    assert (*facts, published.bytes) == ("c" * 40, "One", "static", 2, 30)
    assert published.finished_at is not None
    assert await rows.production(project) == claim.deployment_id


async def test_a_failed_deployment_leaves_the_live_one(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    live = await rows.live(project)
    claim = await rows.building(project)
    await mark_failed(pool, claim, BROKEN, BuildFacts(commit="d" * 40))
    assert await rows.production(project) == live
    row = await rows.row(claim.deployment_id)
    assert (row["status"], row["error_code"], row["commit_sha"]) == ("failed", "build_failed", "d" * 40)


async def test_one_that_finishes_after_a_newer_one_went_live_is_superseded(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    older = await rows.building(project)
    # Two builds of one project never run at once; a newer one overtakes where the older is built again.
    await pool.execute("UPDATE deployments SET status = 'queued'")
    newer = await rows.deployment(project)
    await pool.execute("UPDATE deployments SET status = 'ready', finished_at = now() WHERE id = $1", newer.id)
    await pool.execute("UPDATE projects SET production_id = $1", newer.id)
    await pool.execute("UPDATE deployments SET status = 'building' WHERE id = $1", older.deployment_id)

    assert (await mark_published(pool, older, FACTS)).status is Status.SUPERSEDED
    assert await rows.production(project) == newer.id


async def test_promoting_goes_back_and_forward(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    first, second = await rows.live(project), await rows.live(project)
    for target in (first, second, second):
        assert (await promote_deployment(pool, target, project.user_id)).status is Status.READY
        assert await rows.production(project) == target
    third = await rows.live(project)
    assert await rows.production(project) == third


async def test_a_superseded_deployment_may_be_promoted(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    first = await rows.live(project)
    await rows.live(project)
    await pool.execute("UPDATE deployments SET status = 'superseded' WHERE id = $1", first)
    assert (await promote_deployment(pool, first, project.user_id)).status is Status.READY
    assert await rows.production(project) == first


@pytest.mark.parametrize("status", ["queued", "building", "failed", "canceled"])
async def test_only_a_whole_deployment_goes_live(pool: Pool, rows: Rows, status: str) -> None:
    project = await rows.project()
    live = await rows.live(project)
    other = await rows.deployment(project)
    await pool.execute("UPDATE deployments SET status = $2 WHERE id = $1", other.id, status)
    with pytest.raises(CannotPromote):
        await promote_deployment(pool, other.id, project.user_id)
    assert await rows.production(project) == live


async def test_a_stranger_and_a_deleted_project_promote_nothing(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    live = await rows.live(project)
    with pytest.raises(DeploymentNotFound):
        await promote_deployment(pool, live, await rows.user())
    await delete_project(pool, project.id, project.user_id)
    with pytest.raises(DeploymentNotFound):
        await promote_deployment(pool, live, project.user_id)


async def test_a_cancel_that_came_first_keeps_a_finished_build_from_going_live(
    pool: Pool, rows: Rows
) -> None:
    project = await rows.project()
    live = await rows.live(project)
    claim = await rows.building(project)
    await request_cancel(pool, claim.deployment_id, project.user_id)
    canceled = await mark_published(pool, claim, FACTS)
    assert canceled.status is Status.CANCELED
    assert await rows.production(project) == live


async def test_cancel_and_publish_at_once_agree(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    for _ in range(10):
        before = await rows.production(project)
        claim = await rows.building(project)
        published, canceled = await asyncio.gather(
            mark_published(pool, claim, FACTS),
            request_cancel(pool, claim.deployment_id, project.user_id),
            return_exceptions=True,
        )
        assert not isinstance(published, BaseException)
        live = before if published.status is Status.CANCELED else claim.deployment_id
        assert await rows.production(project) == live
        assert isinstance(canceled, BaseException) == (published.status is Status.READY)


async def test_promotes_publishes_and_deletes_at_once_do_not_deadlock(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    ready = [await rows.live(project) for _ in range(3)]
    claim = await rows.building(project)
    outcomes = await asyncio.gather(
        mark_published(pool, claim, FACTS),
        *(promote_deployment(pool, target, project.user_id) for target in ready * 3),
        delete_project(pool, project.id, project.user_id),
        return_exceptions=True,
    )
    assert {type(outcome) for outcome in outcomes if isinstance(outcome, BaseException)} <= {
        DeploymentNotFound
    }
    assert await pool.fetchval("SELECT production_id FROM projects") is None
