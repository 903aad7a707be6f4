"""Where hosts lead, and what was live before."""

from datetime import timedelta

from scalemesh.db.deployments import promote_deployment
from scalemesh.db.pool import Pool
from scalemesh.db.projects import delete_project
from scalemesh.db.queue import mark_failed, mark_published, requeue
from scalemesh.db.sites import fetch_preview_route, fetch_production_route, list_earlier_deployments
from scalemesh.model import BuildID, DeploymentID, Project, SiteRoute
from tests.db.rows import BROKEN, FACTS, Rows

WEEK = timedelta(days=7)


async def earlier(pool: Pool, project: Project, live: DeploymentID, limit: int = 5) -> list[DeploymentID]:
    builds = await list_earlier_deployments(pool, project.id, live, since=WEEK, limit=limit)
    return [build.deployment_id for build in builds]


async def test_what_was_live_before_comes_with_the_latest_first(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    first, second, third = [await rows.live(project) for _ in range(3)]
    await rows.live(await rows.project())
    assert await earlier(pool, project, third) == [second, first]
    assert await earlier(pool, project, third, limit=1) == [second]


async def test_all_that_leads_to_a_deployment_names_the_attempt_that_made_it(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    lost = await rows.building(project)
    await requeue(pool, lost, after=timedelta(0))
    claim = await rows.claim()
    assert claim is not None
    await mark_published(pool, claim, FACTS)
    production = await fetch_production_route(pool, project.slug)
    assert production == SiteRoute(project.id, claim.deployment_id, 2, preview=False)
    preview = await fetch_preview_route(pool, project.slug, claim.deployment_id)
    assert preview == SiteRoute(project.id, claim.deployment_id, 2, preview=True)
    next_one = await rows.building(project)
    assert next_one.production == BuildID(claim.deployment_id, 2)
    await mark_published(pool, next_one, FACTS)
    before = await list_earlier_deployments(pool, project.id, next_one.deployment_id, since=WEEK, limit=5)
    assert before == [BuildID(claim.deployment_id, 2)]


async def test_what_was_never_live_is_not_among_them(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    first = await rows.live(project)
    failed = await rows.building(project)
    await mark_failed(pool, failed, BROKEN, FACTS)
    assert await earlier(pool, project, await rows.live(project)) == [first]


async def test_after_a_rollback_the_one_that_was_live_longest_ago_comes_last(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    first, second, third = [await rows.live(project) for _ in range(3)]
    await promote_deployment(pool, first, project.user_id)
    assert await earlier(pool, project, first) == [third, second]
    fourth = await rows.live(project)
    assert await earlier(pool, project, fourth) == [first, third, second]


async def test_a_server_that_has_not_heard_of_the_live_one_finds_it_first(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    first, second, third = [await rows.live(project) for _ in range(3)]
    assert await earlier(pool, project, second) == [third, first]


async def test_what_was_replaced_too_long_ago_is_gone(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    first, second, third = [await rows.live(project) for _ in range(3)]
    await pool.execute("UPDATE deployments SET live_until = now() - interval '8 days' WHERE id = $1", first)
    assert await earlier(pool, project, third) == [second]


async def test_promoting_what_is_live_ends_nothing(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    live = await rows.live(project)
    await promote_deployment(pool, live, project.user_id)
    assert (await rows.row(live))["live_until"] is None


async def test_a_deleted_project_has_none(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    await rows.live(project)
    second = await rows.live(project)
    await delete_project(pool, project.id, project.user_id)
    assert await earlier(pool, project, second) == []
