"""Where hosts lead, and what was live before."""

from datetime import timedelta

from scalemesh.db.deployments import promote_deployment
from scalemesh.db.pool import Pool
from scalemesh.db.projects import delete_project
from scalemesh.db.queue import mark_failed
from scalemesh.db.sites import list_earlier_deployments
from scalemesh.model import DeploymentID, Project
from tests.db.rows import BROKEN, FACTS, Rows

WEEK = timedelta(days=7)


async def earlier(pool: Pool, project: Project, live: DeploymentID, limit: int = 5) -> list[DeploymentID]:
    return list(await list_earlier_deployments(pool, project.id, live, since=WEEK, limit=limit))


async def test_what_was_live_before_comes_with_the_latest_first(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    first, second, third = [await rows.live(project) for _ in range(3)]
    await rows.live(await rows.project())
    assert await earlier(pool, project, third) == [second, first]
    assert await earlier(pool, project, third, limit=1) == [second]


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
