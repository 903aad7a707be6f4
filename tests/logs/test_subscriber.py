"""One subscription hears everything that somebody watches, whatever becomes of its connection."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial

import pytest
from redis.asyncio import Redis

from scalemesh import keys
from scalemesh.logs import subscriber as subscribing
from scalemesh.logs.events import Announcer, Event, SessionEnded, SiteChanged, StatusChanged
from scalemesh.logs.hub import Hub, Item, Resync, Watch, WatchEnded
from scalemesh.logs.lines import line_shape
from scalemesh.logs.subscriber import subscriber
from scalemesh.model import DeploymentID, LogLine, ProjectID, Status, UserID
from tests.logs.build import batch_of, line, lines
from tests.logs.conftest import LISTENING, OwnValkey, kill_clients
from tests.parts.server import eventually

ADA = UserID("ada")


def watch(deployment: str = "one", project: str = "shop") -> Watch:
    return Watch(DeploymentID(deployment), ProjectID(project), ADA, "s1")


async def publish(redis: Redis, to: Watch, batch: list[LogLine]) -> None:
    shapes = [line_shape(each) for each in batch]
    message = json.dumps({"deploymentID": to.deployment_id, "lines": shapes})
    await redis.publish(keys.log_channel(to.project_id), message)


async def heard(watching: Watch) -> Item:
    """What comes next but for resyncs, of which there may always be one more."""
    async with asyncio.timeout(60):
        while (item := await watching.next()) == Resync():
            pass
    return item


class Listener:
    """What a listener was told, in order."""

    def __init__(self) -> None:
        self.told: list[Event | str] = []

    def handle(self, event: Event) -> None:
        self.told.append(event)

    def heard(self) -> None:
        self.told.append("heard")

    def lost(self) -> None:
        self.told.append("lost")


@asynccontextmanager
async def listening(url: str, *listeners: Listener) -> AsyncIterator[Hub]:
    hub = Hub()
    async with (
        Redis.from_url(url) as redis,
        Redis.from_url(url, client_name=LISTENING, socket_timeout=None) as own,
        subscriber(own, hub, listeners),
    ):
        await eventually(lambda: redis.pubsub_channels(keys.EVENTS_CHANNEL))
        yield hub


@pytest.fixture
async def hub(redis_url: str) -> AsyncIterator[Hub]:
    async with listening(redis_url) as heard:
        yield heard


async def subscribed(redis: Redis, watching: Watch) -> int:
    channel = keys.log_channel(watching.project_id)
    return int(dict(await redis.pubsub_numsub(channel))[channel.encode()])


async def joined(redis: Redis, *watches: Watch) -> None:
    """From here on nothing that is published for them is missed."""
    for each in watches:
        await eventually(partial(subscribed, redis, each), every_s=0.01)


async def test_batches_and_events_reach_those_who_watch(hub: Hub, redis: Redis) -> None:
    with hub.watch(watch("one")) as one, hub.watch(watch("two")) as two:
        await joined(redis, one)
        await publish(redis, one, lines(1, 2))
        await publish(redis, two, lines(1, 1))
        await Announcer(redis).announce(StatusChanged(one.deployment_id, Status.READY))
        assert [await heard(one), await heard(one)] == [batch_of(lines(1, 2)), Status.READY]
        assert await heard(two) == batch_of(lines(1, 1))
        await Announcer(redis).announce(SessionEnded(ADA, "s1"))
        with pytest.raises(WatchEnded):
            await two.next()


async def test_a_channel_is_left_with_its_last_watcher_and_joined_again(hub: Hub, redis: Redis) -> None:
    for _ in range(3):
        with hub.watch(watch("one")) as one:
            with hub.watch(watch("two")):
                await joined(redis, one)
            assert await subscribed(redis, one) == 1
            await publish(redis, one, lines(1, 1))
            assert await heard(one) == batch_of(lines(1, 1))
        await eventually(lambda: subscribed(redis, one), lambda count: count == 0)


async def test_watchers_that_come_and_go_at_once_leave_the_right_channels(hub: Hub, redis: Redis) -> None:
    watches = [watch(project=f"shop{number}") for number in range(50)]
    with ExitStack() as staying:
        for number, each in enumerate(watches):
            with hub.watch(each):
                pass
            if number % 2:
                staying.enter_context(hub.watch(each))
        for each in watches[1::2]:
            assert await each.next() == Resync()
        await eventually(
            lambda: redis.pubsub_channels("logs:*"),
            lambda channels: {*channels} == {f"logs:shop{number}".encode() for number in range(1, 50, 2)},
        )


async def test_a_batch_that_goes_over_a_cut_is_heard_as_two(hub: Hub, redis: Redis) -> None:
    with hub.watch(watch()) as one:
        await joined(redis, one)
        await publish(redis, one, [line(1), line(2), line(900)])
        assert [await heard(one), await heard(one)] == [batch_of(lines(1, 2)), batch_of([line(900)])]


@pytest.mark.parametrize(
    "message",
    [
        "",
        "\x00\xff",
        "5",
        "null",
        '{"deploymentID":"one"}',
        '{"deploymentID":"one","lines":[]}',
        '{"deploymentID":"one","lines":5}',
        '{"deploymentID":"one","lines":[{"seq":1}]}',
    ],
)
async def test_what_is_no_batch_is_passed_over(
    hub: Hub, redis: Redis, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    with hub.watch(watch()) as one:
        await joined(redis, one)
        await redis.publish(keys.log_channel(one.project_id), message)
        await redis.publish(keys.EVENTS_CHANNEL, message)
        await publish(redis, one, lines(1, 1))
        assert await heard(one) == batch_of(lines(1, 1))
    assert "unreadable message on logs:shop" in caplog.text
    assert "unreadable message on scalemesh:events" in caplog.text


async def test_a_killed_connection_is_made_again_and_its_watchers_told(hub: Hub, redis: Redis) -> None:
    with hub.watch(watch("one")) as one, hub.watch(watch("two", "blog")) as two:
        for seq in range(1, 4):
            await joined(redis, one, two)
            for each in (one, two):
                await publish(redis, each, lines(seq, seq))
                assert await heard(each) == batch_of(lines(seq, seq))
            assert await kill_clients(redis, LISTENING) == 1
            assert [await one.next(), await two.next()] == [Resync(), Resync()]


async def test_watchers_outlive_a_restart_of_redis_and_may_come_while_it_is_away(
    own_valkey: OwnValkey,
) -> None:
    async with Redis.from_url(own_valkey.url) as redis, listening(own_valkey.url) as hub:
        with hub.watch(watch("one")) as early:
            assert await early.next() == Resync()
            await own_valkey.stop()
            with hub.watch(watch("one", "gone")):
                pass
            with hub.watch(watch("two", "blog")) as late:
                await own_valkey.start()
                assert [await early.next(), await late.next()] == [Resync(), Resync()]
                await joined(redis, early, late)
                for seq in (1, 2):
                    for each in (early, late):
                        await publish(redis, each, lines(seq, seq))
                        assert await heard(each) == batch_of(lines(seq, seq))
                assert {*await redis.pubsub_channels("logs:*")} == {b"logs:shop", b"logs:blog"}


async def test_a_redis_that_falls_silent_is_given_up(
    redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def age_s() -> int:
        """Of the subscription's connection."""
        clients = await redis.client_list()
        return max((int(client["age"]) for client in clients if client["name"] == LISTENING), default=0)

    monkeypatch.setattr(subscribing, "_PING_S", 0.05)
    async with listening(redis_url) as hub:
        with hub.watch(watch()) as one:
            await joined(redis, one)
            await publish(redis, one, lines(1, 1))
            assert await heard(one) == batch_of(lines(1, 1))
            with monkeypatch.context() as impatient:
                impatient.setattr(subscribing, "_SILENCE_MAX_S", 0.5)
                # Answers to pings keep a connection for longer than the silence it would be given up for.
                young_s = await age_s()
                await eventually(age_s, lambda old_s: old_s >= young_s + 2)
                caplog.clear()
                await redis.client_pause(1_500, all=True)
                await eventually(lambda: "log subscription lost" in caplog.text)
            assert await one.next() == Resync()
            await joined(redis, one)
            await publish(redis, one, lines(2, 2))
            assert await heard(one) == batch_of(lines(2, 2))


async def test_it_goes_on_after_an_error_of_its_own(
    hub: Hub, redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with hub.watch(watch()) as one:
        await joined(redis, one)
        await publish(redis, one, lines(1, 1))
        assert await heard(one) == batch_of(lines(1, 1))
        with monkeypatch.context() as broken:
            broken.setattr(hub, "publish", _raise)
            await publish(redis, one, lines(2, 2))
            await eventually(lambda: "log subscription broke" in caplog.text)
        assert await one.next() == Resync()
        await publish(redis, one, lines(3, 3))
        assert await heard(one) == batch_of(lines(3, 3))
    caplog.clear()


def _raise(*_arguments: object) -> None:
    raise RuntimeError("by the test")


async def test_listeners_hear_every_event_and_when_they_may_have_missed_some(redis_url: str) -> None:
    listener = Listener()
    changed = SiteChanged(ProjectID("shop"))
    async with Redis.from_url(redis_url) as redis:
        async with listening(redis_url, listener):
            await eventually(lambda: listener.told == ["heard"])
            await Announcer(redis).announce(changed)
            await eventually(lambda: listener.told == ["heard", changed])
            await kill_clients(redis, LISTENING)
            await eventually(lambda: listener.told == ["heard", changed, "lost", "heard"])
        assert listener.told[-1] == "lost"
