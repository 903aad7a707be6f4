"""The line: whose turn it is, what each one waits for, and how waiting ends."""

from datetime import timedelta

from scalemesh.db.pool import Pool
from scalemesh.db.queue import expire_waiting, mark_failed, put_back, requeue
from scalemesh.db.waiting import list_waiting
from scalemesh.model import DeploymentID, QueueLimits, UserID, WaitCause
from tests.db.rows import BROKEN, FACTS, Rows

TWO = QueueLimits(builds=2, builds_per_user=1)


async def one_of_each(rows: Rows, user: UserID, count: int) -> list[DeploymentID]:
    return [(await rows.deployment(await rows.project(user))).id for _ in range(count)]


async def claimed(rows: Rows, pool: Pool, count: int) -> list[DeploymentID]:
    """Who is served when one builder takes one after another."""
    served = []
    for _ in range(count):
        claim = await rows.claim(concurrency=1)
        assert claim is not None
        served.append(claim.deployment_id)
        await mark_failed(pool, claim, BROKEN, FACTS)
    return served


async def test_users_take_turns_however_much_one_of_them_queued_first(pool: Pool, rows: Rows) -> None:
    many = await one_of_each(rows, await rows.user(), 4)
    few = await one_of_each(rows, await rows.user(), 2)
    assert await claimed(rows, pool, 6) == [many[0], few[0], many[1], few[1], many[2], many[3]]


async def test_the_line_that_is_shown_is_the_line_that_is_served(pool: Pool, rows: Rows) -> None:
    ids = await one_of_each(rows, await rows.user(), 3) + await one_of_each(rows, await rows.user(), 2)
    shown = await list_waiting(pool, ids, QueueLimits(builds=1, builds_per_user=1))
    assert sorted(place.position for place in shown.values()) == [1, 2, 3, 4, 5]
    assert await claimed(rows, pool, 5) == sorted(ids, key=lambda id_: shown[id_].position)


async def test_one_user_has_no_more_than_a_users_share(rows: Rows) -> None:
    user = await rows.user()
    await one_of_each(rows, user, 3)
    assert await rows.claim(per_user=2)
    assert await rows.claim(per_user=2)
    assert await rows.claim(per_user=2) is None
    [other] = await one_of_each(rows, await rows.user(), 1)
    claim = await rows.claim(per_user=2)
    assert claim is not None
    assert claim.deployment_id == other


async def test_each_queued_deployment_says_what_it_waits_for(pool: Pool, rows: Rows) -> None:
    user = await rows.user()
    busy = await rows.project(user)
    await rows.building(busy)
    same_project = (await rows.deployment(busy)).id
    [same_user] = await one_of_each(rows, user, 1)
    [next_one] = await one_of_each(rows, await rows.user(), 1)
    places = await list_waiting(pool, [same_project, same_user, next_one], TWO)
    assert (places[same_project].cause, places[same_user].cause) == (WaitCause.PROJECT, WaitCause.USER)
    assert (places[next_one].position, places[next_one].cause) == (1, WaitCause.NOTHING)

    claim = await rows.claim(per_user=1)
    assert claim is not None
    assert claim.deployment_id == next_one
    [third] = await one_of_each(rows, await rows.user(), 1)
    assert (await list_waiting(pool, [third], TWO))[third].cause is WaitCause.BUILDERS
    assert await list_waiting(pool, [next_one], TWO) == {}


async def test_what_finds_no_room_waits_and_says_so(pool: Pool, rows: Rows) -> None:
    claim = await rows.building(await rows.project())
    await put_back(pool, claim, after=timedelta(minutes=2))
    places = await list_waiting(pool, [claim.deployment_id], TWO)
    assert places[claim.deployment_id].cause is WaitCause.ROOM
    assert await rows.claim() is None


async def test_what_was_interrupted_waits_before_it_is_tried_again_and_says_so(
    pool: Pool, rows: Rows
) -> None:
    claim = await rows.building(await rows.project())
    await requeue(pool, claim, after=timedelta(minutes=2))
    [other] = await one_of_each(rows, await rows.user(), 1)
    places = await list_waiting(pool, [claim.deployment_id, other], TWO)
    assert (places[claim.deployment_id].cause, places[other].cause) == (WaitCause.RETRY, WaitCause.NOTHING)
    assert await claimed(rows, pool, 1) == [other]
    assert await rows.claim() is None

    await pool.execute("UPDATE deployments SET retry_at = retry_at - interval '3 minutes'")
    again = await rows.claim()
    assert again is not None
    assert (again.deployment_id, again.attempt) == (claim.deployment_id, 2)


async def test_of_one_branch_only_the_newest_waits(rows: Rows) -> None:
    project = await rows.project()  # its branch is main
    building = await rows.building(project)
    first = await rows.deployment(project)
    other = await rows.deployment(project, ref="dev")
    newest = await rows.deployment(project, ref="main")
    assert await rows.status(first.id) == "superseded"
    assert [await rows.status(d) for d in (building.deployment_id, other.id, newest.id)] == [
        "building",
        "queued",
        "queued",
    ]


async def test_a_deadline_survives_a_build_that_starts_again(pool: Pool, rows: Rows) -> None:
    project = await rows.project()
    claim = await rows.building(project)
    await requeue(pool, claim, after=timedelta(0))
    again = await rows.claim()
    assert again is not None
    assert (again.attempt, again.deadline) == (2, claim.deadline)


async def test_waiting_ends_with_a_reason(pool: Pool, rows: Rows) -> None:
    [old, new] = await one_of_each(rows, await rows.user(), 2)
    await pool.execute("UPDATE deployments SET created_at = now() - interval '2 h' WHERE id = $1", old)
    assert await expire_waiting(pool, longest=timedelta(hours=1), failure=BROKEN) == [old]
    row = await rows.row(old)
    assert (row["status"], row["error_code"]) == ("failed", BROKEN.code)
    assert await rows.status(new) == "queued"
