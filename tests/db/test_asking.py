"""What people ask for: deploys, cancels and deletes."""

import asyncio
from datetime import timedelta

import pytest

from scalemesh.db.deployments import MAX_QUEUED_PER_PROJECT, request_cancel
from scalemesh.db.pool import Pool
from scalemesh.db.projects import delete_project, list_projects_to_purge
from scalemesh.db.queue import mark_canceled, renew_lease, requeue
from scalemesh.errors import (
    CannotCancel,
    DeploymentNotFound,
    IdempotencyConflict,
    ProjectNotFound,
    SlugTaken,
    TooManyRequests,
)
from scalemesh.model import Project, Status
from tests.db.rows import FACTS, LEASE, Rows


async def test_deployments_asked_for_at_once_are_numbered_from_1_without_a_gap(rows: Rows) -> None:
    project = await rows.project()
    deployments = await asyncio.gather(
        *(rows.deployment(project, ref=f"v{n}") for n in range(MAX_QUEUED_PER_PROJECT))
    )
    assert sorted(deployment.number for deployment in deployments) == [*range(1, MAX_QUEUED_PER_PROJECT + 1)]


async def test_the_queue_of_a_project_is_bounded_and_nobody_elses_is(rows: Rows) -> None:
    project = await rows.project()
    outcomes = await asyncio.gather(
        *(rows.deployment(project, ref=f"v{n}") for n in range(MAX_QUEUED_PER_PROJECT + 5)),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert [type(error) for error in refused] == [TooManyRequests] * 5
    await rows.deployment(await rows.project(project.user_id))


async def test_one_idempotency_key_is_one_deployment_also_under_a_race(rows: Rows) -> None:
    project = await rows.project()
    found = await asyncio.gather(*(rows.deployment(project, ref="v1", key="k") for _ in range(10)))
    assert len({deployment.id for deployment in found}) == 1
    assert (await rows.deployment(project, key="other")).number == 2
    assert (await rows.deployment(await rows.project(project.user_id), key="k")).number == 1


@pytest.mark.parametrize("request_", [{"ref": "v2"}, {"ref": None}, {"ref": "v1", "no_cache": True}])
async def test_one_idempotency_key_with_another_request_is_refused(
    rows: Rows, request_: dict[str, object]
) -> None:
    project = await rows.project()
    await rows.deployment(project, ref="v1", key="k")
    with pytest.raises(IdempotencyConflict):
        await rows.deployment(project, key="k", **request_)  # type: ignore[arg-type]


async def test_a_queued_deployment_is_canceled_at_once(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    deployment = await rows.deployment(project)
    canceled = await request_cancel(pool, deployment.id, project.user_id)
    assert canceled.status is Status.CANCELED
    assert canceled.finished_at is not None
    assert await rows.claim() is None
    with pytest.raises(CannotCancel):
        await request_cancel(pool, deployment.id, project.user_id)


async def test_of_a_building_deployment_the_cancel_is_noted(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    claim = await rows.building(project)
    noted = await request_cancel(pool, claim.deployment_id, project.user_id)
    assert (noted.status, noted.finished_at) == (Status.BUILDING, None)
    assert await renew_lease(pool, claim, LEASE) is True
    await mark_canceled(pool, claim, FACTS)
    assert await rows.status(claim.deployment_id) == "canceled"


async def test_what_is_given_back_while_its_cancel_is_wanted_is_canceled(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    claim = await rows.building(project)
    await request_cancel(pool, claim.deployment_id, project.user_id)
    assert await requeue(pool, claim, after=timedelta(0)) is Status.CANCELED
    assert (await rows.row(claim.deployment_id))["finished_at"] is not None


async def test_a_cancel_and_a_claim_at_once_never_lose_the_cancel(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    for _ in range(10):
        deployment = await rows.deployment(project)
        claim, _ = await asyncio.gather(rows.claim(), request_cancel(pool, deployment.id, project.user_id))
        if claim is not None:
            assert await renew_lease(pool, claim, LEASE) is True
            await mark_canceled(pool, claim, FACTS)
        assert await rows.status(deployment.id) == "canceled"


async def test_a_stranger_cancels_nothing(pool: Pool, rows: Rows) -> None:
    deployment = await rows.deployment(await rows.project())
    with pytest.raises(DeploymentNotFound):
        await request_cancel(pool, deployment.id, await rows.user())
    assert await rows.status(deployment.id) == "queued"


async def test_deleting_a_project_cancels_its_builds_and_waits_with_the_purge(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    await rows.live(project)
    claim = await rows.building(project)
    queued = await rows.deployment(project)

    await delete_project(pool, project.id, project.user_id)

    assert await rows.status(queued.id) == "canceled"
    assert await renew_lease(pool, claim, LEASE) is True
    assert await list_projects_to_purge(pool, limit=10) == []
    assert await requeue(pool, claim, after=timedelta(0)) is Status.CANCELED
    assert await list_projects_to_purge(pool, limit=10) == [project.id]
    with pytest.raises(ProjectNotFound):
        await rows.deployment(project)


async def test_a_delete_and_deploys_at_once_leave_nothing_waiting(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    await asyncio.gather(
        *(rows.deployment(project) for _ in range(5)),
        delete_project(pool, project.id, project.user_id),
        *(rows.deployment(project) for _ in range(5)),
        return_exceptions=True,
    )
    assert await rows.claim() is None


async def test_of_50_racers_for_one_slug_one_wins(rows: Rows) -> None:
    users = [await rows.user() for _ in range(5)]
    outcomes = await asyncio.gather(
        *(rows.project(users[n % 5], slug="mine") for n in range(50)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Project) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, SlugTaken) for outcome in outcomes) == 49


async def test_a_deleted_projects_slug_goes_to_its_owner_and_to_nobody_else(pool: Pool, rows: Rows) -> None:
    project = await rows.project(slug="mine")
    await delete_project(pool, project.id, project.user_id)
    with pytest.raises(SlugTaken):
        await rows.project(slug="mine")
    again = await rows.project(project.user_id, slug="mine")
    assert again.id != project.id
    with pytest.raises(SlugTaken):
        await rows.project(slug="mine")


async def test_a_slug_that_is_a_projects_id_is_taken_for_its_owner_too(rows: Rows) -> None:
    project = await rows.project()
    with pytest.raises(SlugTaken):
        await rows.project(project.user_id, slug=project.id)
    with pytest.raises(SlugTaken):
        await rows.project(slug=project.id)
