"""Each watcher's own queue."""

import pytest

from scalemesh import keys
from scalemesh.errors import LogClientTooSlow
from scalemesh.logs.events import SessionEnded, StatusChanged
from scalemesh.logs.hub import QUEUE_MAX_ITEMS, Hub, Resync, Watch, WatchEnded
from scalemesh.logs.lines import Batch
from scalemesh.model import DeploymentID, ProjectID, Status, UserID
from tests.logs.build import lines

ADA = UserID("ada")


def watch(deployment: str = "one", project: str = "shop", session: str = "s1") -> Watch:
    return Watch(DeploymentID(deployment), ProjectID(project), ADA, session)


async def test_a_full_queue_ends_its_watch_and_no_other() -> None:
    hub = Hub()
    with hub.watch(watch()) as slow, hub.watch(watch()) as quick:
        for seq in range(1, QUEUE_MAX_ITEMS + 2):
            hub.publish(slow.deployment_id, Batch(lines(seq, seq)))
            assert isinstance(await quick.next(5), Batch)
        with pytest.raises(LogClientTooSlow):
            slow.check()
        with pytest.raises(LogClientTooSlow):
            await slow.next(5)


async def test_a_batch_goes_to_the_watchers_of_its_deployment_alone() -> None:
    hub = Hub()
    with hub.watch(watch("one")) as one, hub.watch(watch("two")) as two:
        hub.publish(DeploymentID("one"), Batch(lines(1, 2)))
        hub.publish(DeploymentID("nobody"), Batch(lines(1, 2)))
        hub.handle(StatusChanged(DeploymentID("two"), Status.READY))
        assert await one.next(5) == Batch(lines(1, 2))
        assert await two.next(5) is Status.READY


async def test_nothing_for_a_while_is_a_resync() -> None:
    assert await watch().next(0.01) == Resync()
    assert await watch().next(-1) == Resync()


async def test_resyncs_do_not_pile_up() -> None:
    hub = Hub()
    with hub.watch(watch()) as one:
        for _ in range(2 * QUEUE_MAX_ITEMS):
            hub.resync()
            hub.resync_channel(keys.log_channel(one.project_id))
        hub.publish(one.deployment_id, Batch(lines(1, 1)))
        assert await one.next(5) == Resync()
        hub.resync()
        assert await one.next(5) == Batch(lines(1, 1))
        assert await one.next(5) == Resync()


async def test_a_session_that_ends_takes_its_watches_with_it_also_full_ones() -> None:
    hub = Hub()
    with hub.watch(watch()) as mine, hub.watch(watch()) as full, hub.watch(watch(session="s2")) as other:
        for seq in range(1, QUEUE_MAX_ITEMS + 2):
            full.put(Batch(lines(seq, seq)))
        hub.handle(SessionEnded(ADA, "s1"))
        hub.handle(SessionEnded(UserID("eve"), None))
        mine.put(Status.READY)
        for ended in (mine, full):
            with pytest.raises(WatchEnded):
                await ended.next(5)
        other.check()
        hub.handle(SessionEnded(ADA, None))
        with pytest.raises(WatchEnded):
            await other.next(5)


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
