"""Production deployments go live by themselves, previews when somebody says so."""

from datetime import timedelta

import pytest

from scalemesh.db.deployments import promote_deployment
from scalemesh.db.pool import Pool
from scalemesh.db.queue import mark_published, requeue
from scalemesh.db.sites import fetch_preview_route, fetch_production_route
from scalemesh.errors import CannotPromote
from scalemesh.model import Status, Target
from tests.db.rows import FACTS, Rows


@pytest.mark.parametrize(
    ("branch", "ref", "target"),
    [
        ("main", None, Target.PRODUCTION),
        ("main", "main", Target.PRODUCTION),
        ("main", "feature", Target.PREVIEW),
        (None, None, Target.PRODUCTION),
        (None, "main", Target.PREVIEW),
    ],
)
async def test_another_ref_than_the_projects_branch_is_a_preview(
    pool: Pool, rows: Rows, branch: str | None, ref: str | None, target: Target
) -> None:
    project = await rows.project()
    await pool.execute("UPDATE projects SET branch = $1", branch)
    assert (await rows.deployment(project, ref=ref)).target is target


async def test_a_target_stays_what_it_was_when_it_was_asked_for(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    claim = await rows.building(project, ref="feature")
    await pool.execute("UPDATE projects SET branch = 'feature'")
    published = await mark_published(pool, claim, FACTS)
    assert (published.status, published.target) == (Status.READY, Target.PREVIEW)
    assert await rows.production(project) is None


async def test_a_preview_is_served_at_its_own_address_and_leaves_what_is_live(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    preview = await rows.preview(project)
    assert await fetch_production_route(pool, project.slug) is None
    live = await rows.live(project)
    later = await rows.preview(project)
    assert await rows.production(project) == live
    for deployment_id in (preview, later):
        route = await fetch_preview_route(pool, project.slug, deployment_id)
        assert route is not None
        assert route.deployment_id == deployment_id


async def test_a_newer_preview_keeps_no_production_deployment_from_going_live(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    older = await rows.building(project)
    await requeue(pool, older, after=timedelta(0))
    await pool.execute("UPDATE deployments SET created_at = now() + interval '1 h'")
    await rows.preview(project)
    again = await rows.claim()
    assert again is not None
    assert (await mark_published(pool, again, FACTS)).status is Status.READY
    assert await rows.production(project) == older.deployment_id


async def test_a_preview_that_was_promoted_is_newer_than_a_build_from_before_it(
    pool: Pool, rows: Rows
) -> None:
    project = await rows.project()
    older = await rows.building(project)
    await requeue(pool, older, after=timedelta(0))
    await pool.execute("UPDATE deployments SET created_at = now() + interval '1 h'")
    preview = await rows.preview(project)
    assert (await promote_deployment(pool, preview, project.user_id)).target is Target.PREVIEW
    again = await rows.claim()
    assert again is not None
    assert (await mark_published(pool, again, FACTS)).status is Status.SUPERSEDED
    assert await rows.production(project) == preview
    newer = await rows.live(project)
    assert await rows.production(project) == newer


async def test_an_older_preview_is_not_superseded(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    older = await rows.building(project, ref="feature")
    await requeue(pool, older, after=timedelta(0))
    await pool.execute("UPDATE deployments SET created_at = now() + interval '1 h'")
    live = await rows.live(project)
    again = await rows.claim()
    assert again is not None
    assert (await mark_published(pool, again, FACTS)).status is Status.READY
    assert await rows.production(project) == live


async def test_queued_builds_of_a_branch_collapse_within_their_target(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    first, second = [await rows.deployment(project, ref="feature") for _ in range(2)]
    assert await rows.status(first.id) == "superseded"
    await pool.execute("UPDATE projects SET branch = 'feature'")
    await rows.deployment(project)
    assert await rows.status(second.id) == "queued"


async def test_what_was_superseded_while_it_waited_has_nothing_to_promote(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    first = await rows.deployment(project)
    await rows.deployment(project)
    with pytest.raises(CannotPromote, match="superseded"):
        await promote_deployment(pool, first.id, project.user_id)
    assert await rows.production(project) is None
