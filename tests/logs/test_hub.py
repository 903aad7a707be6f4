"""Each watcher's own queue."""

import asyncio

import pytest

from scalemesh import keys
from scalemesh.errors import LogClientTooSlow
from scalemesh.logs.events import SessionEnded, StatusChanged
from scalemesh.logs.hub import QUEUE_MAX_ITEMS, Hub, Resync, Watch, WatchEnded
from scalemesh.logs.lines import Batch
from scalemesh.model import DeploymentID, ProjectID, Status, UserID
from tests.logs.build import batch_of, lines

ADA = UserID("ada")


def watch(deployment: str = "one", project: str = "shop", session: str = "s1") -> Watch:
    return Watch(DeploymentID(deployment), ProjectID(project), ADA, session)


async def test_a_full_queue_ends_its_watch_and_no_other() -> None:
    hub = Hub()
    with hub.watch(watch()) as slow, hub.watch(watch()) as quick:
        for seq in range(1, QUEUE_MAX_ITEMS + 2):
            hub.publish(slow.deployment_id, batch_of(lines(seq, seq)))
            assert isinstance(await quick.next(), Batch)
        with pytest.raises(LogClientTooSlow):
            slow.check()
        with pytest.raises(LogClientTooSlow):
            await slow.next()


async def test_a_batch_goes_to_the_watchers_of_its_deployment_alone() -> None:
    hub = Hub()
    with hub.watch(watch("one")) as one, hub.watch(watch("two")) as two:
        hub.publish(DeploymentID("one"), batch_of(lines(1, 2)))
        hub.publish(DeploymentID("nobody"), batch_of(lines(1, 2)))
        hub.handle(StatusChanged(DeploymentID("two"), Status.READY))
        assert await one.next() == batch_of(lines(1, 2))
        assert await two.next() is Status.READY


async def test_a_reader_that_waits_for_just_this_batch_is_offered_it_and_sleeps_on() -> None:
    hub = Hub()
    taken: list[Batch] = []
    takes = True

    def offer(batch: Batch) -> bool:
        if takes:
            taken.append(batch)
        return takes

    with hub.watch(watch()) as one:
        one.offer = offer
        # Nobody waits: whoever reads has not sent yet what came before.
        hub.publish(one.deployment_id, batch_of(lines(1, 2)))
        assert (await one.next(), taken) == (batch_of(lines(1, 2)), [])
        one.cursor = 2
        waiting = asyncio.ensure_future(one.next())
        await asyncio.sleep(0)
        hub.publish(one.deployment_id, batch_of(lines(3, 4)))
        hub.publish(one.deployment_id, batch_of(lines(5, 5)))
        assert (taken, one.cursor) == ([batch_of(lines(3, 4)), batch_of(lines(5, 5))], 5)
        # One that does not follow goes to the reader, and so does what comes until it waits again.
        hub.publish(one.deployment_id, batch_of(lines(7, 7)))
        hub.publish(one.deployment_id, batch_of(lines(8, 8)))
        assert [await waiting, await one.next()] == [batch_of(lines(7, 7)), batch_of(lines(8, 8))]
        one.cursor, takes = 8, False
        waiting = asyncio.ensure_future(one.next())
        await asyncio.sleep(0)
        hub.publish(one.deployment_id, batch_of(lines(9, 9)))
        assert await waiting == batch_of(lines(9, 9))
        assert (len(taken), one.cursor) == (2, 8)


async def test_resyncs_do_not_pile_up() -> None:
    hub = Hub()
    with hub.watch(watch()) as one:
        for _ in range(2 * QUEUE_MAX_ITEMS):
            hub.resync()
            hub.resync_channel(keys.log_channel(one.project_id))
        hub.publish(one.deployment_id, batch_of(lines(1, 1)))
        assert await one.next() == Resync()
        hub.resync()
        assert await one.next() == batch_of(lines(1, 1))
        assert await one.next() == Resync()


async def test_a_session_that_ends_takes_its_watches_with_it_also_full_ones() -> None:
    hub = Hub()
    with hub.watch(watch()) as mine, hub.watch(watch()) as full, hub.watch(watch(session="s2")) as other:
        for seq in range(1, QUEUE_MAX_ITEMS + 2):
            full.put(batch_of(lines(seq, seq)))
        hub.handle(SessionEnded(ADA, "s1"))
        hub.handle(SessionEnded(UserID("eve"), None))
        mine.put(Status.READY)
        for ended in (mine, full):
            with pytest.raises(WatchEnded):
                await ended.next()
        other.check()
        hub.handle(SessionEnded(ADA, None))
        with pytest.raises(WatchEnded):
            await other.next()


def test_a_channel_is_wanted_from_its_first_watcher_to_its_last() -> None:
    hub = Hub()
    told: list[set[str]] = []
    hub.on_channels = lambda: told.append(hub.channels)
    shop, blog = {"logs:shop"}, {"logs:blog"}
    with hub.watch(watch("one")):
        with hub.watch(watch("two")), hub.watch(watch("three", "blog")):
            assert hub.channels == shop | blog
        assert hub.channels == shop
    assert told == [shop, shop | blog, shop, set()]
