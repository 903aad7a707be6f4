"""Cancels that are lost, and work that a cancel must not leave half done."""

import asyncio

from scalemesh.tasks import end_tasks, to_its_end


async def test_a_task_that_loses_a_cancel_is_canceled_again() -> None:
    lost = 0

    async def loses_two() -> None:
        nonlocal lost
        while lost < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
        await asyncio.Event().wait()

    task = asyncio.create_task(loses_two())
    await asyncio.sleep(0)
    await end_tasks(task)
    assert (task.cancelled(), lost) == (True, 2)


async def test_what_a_task_does_at_its_end_is_done_however_often_it_is_canceled() -> None:
    may_end, done = asyncio.Event(), False

    async def last_words() -> None:
        nonlocal done
        await may_end.wait()
        done = True

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await to_its_end(last_words())

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    ending = asyncio.create_task(end_tasks(task))
    for _ in range(5):
        await asyncio.sleep(0)
        task.cancel()
    assert not task.done()
    may_end.set()
    await ending
    assert (task.cancelled(), done) == (True, True)
