"""A reader gets each line once, in order, whatever happens between the builder and it."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from builder.live import RedisLive
from builder.log import Line, Origin, Phase, Stream
from scalemesh import keys
from scalemesh.artifacts.store import ArtifactStore, StoreUnavailable
from scalemesh.db import projects, sessions
from scalemesh.db.pool import Pool
from scalemesh.errors import DeploymentNotFound, LogClientTooSlow
from scalemesh.logs import follow
from scalemesh.logs.archive import ArchiveDamaged, ArchivedLog, fetch_archived_log
from scalemesh.logs.follow import End, Event, Logs
from scalemesh.logs.hub import QUEUE_MAX_ITEMS, Hub, WatchEnded
from scalemesh.logs.lines import Batch, Gap
from scalemesh.logs.looks import Looks, looks
from scalemesh.logs.stream import last_seq
from scalemesh.logs.subscriber import subscriber
from scalemesh.model import Status
from tests.logs.build import Build, batch_of, line, lines
from tests.logs.conftest import LISTENING, OwnValkey, Room, kill_clients
from tests.parts.server import eventually

ORIGIN = Origin("2026-01-02T03:04:05.678Z", Stream.STDOUT, Phase.BUILD)


def seqs(events: Sequence[Event]) -> list[int]:
    rows = [row for event in events if isinstance(event, Batch) for row in event.rows]
    return [json.loads(row)["seq"] for row in rows]


async def take(events: AsyncGenerator[Event, None], count: int) -> list[int]:
    """The next lines, however they come in batches; a Gap is none of them."""
    taken: list[int] = []
    while len(taken) < count:
        event = await anext(events)
        assert isinstance(event, Batch)
        taken += seqs([event])
    return taken


async def whole(room: Room, after: int = 0) -> list[Event]:
    """All that one reader gets until the end."""
    async with asyncio.timeout(60), aclosing(room.logs.follow(room.watch(), after=after)) as events:
        return [event async for event in events]


@asynccontextmanager
async def following(room: Room, after: int = 0) -> AsyncIterator[AsyncGenerator[Event, None]]:
    """A reader that is live: what is published from here on it hears."""
    async with asyncio.timeout(60), aclosing(room.logs.follow(room.watch(), after=after)) as events:
        assert await anext(events) is Status.BUILDING
        yield events


async def test_what_was_what_comes_and_the_end(room: Room) -> None:
    await room.build.write(lines(1, 3))
    async with following(room) as events:
        assert await anext(events) == batch_of(lines(1, 3))
        await room.build.write(lines(4, 5))
        assert await anext(events) == batch_of(lines(4, 5))
        await room.build.archive(lines(1, 7))
        await room.build.end(Status.FAILED)
        assert [event async for event in events] == [
            Status.FAILED,
            batch_of(lines(6, 7)),
            End(Status.FAILED),
        ]
    assert room.hub.channels == set()


async def test_a_reader_who_is_slower_than_the_stream_is_kept_gets_the_archive(room: Room) -> None:
    async with following(room) as events:
        await room.build.write(lines(1, 2))
        assert await anext(events) == batch_of(lines(1, 2))
        await room.build.write(lines(3, 4), published=False)
        await room.build.write(lines(5, 6))
        await room.build.archive(lines(1, 6))
        await room.build.end(Status.READY)
        await room.build.redis.delete(keys.log_stream(room.build.deployment_id))
        assert [event async for event in events] == [
            Status.READY,
            batch_of(lines(3, 6)),
            End(Status.READY),
        ]


async def test_a_lost_publication_is_delivered_with_what_comes_after_it(room: Room) -> None:
    async with following(room) as events:
        await room.build.write(lines(1, 2))
        assert await anext(events) == batch_of(lines(1, 2))
        await room.build.write(lines(3, 4), published=False)
        await room.build.write(lines(5, 6), published=False)
        await room.build.write(lines(7, 8))
        assert await take(events, 6) == [3, 4, 5, 6, 7, 8]


async def test_a_lost_publication_that_nothing_follows_is_found_soon(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with following(room) as events:
        await room.build.write(lines(1, 2))
        assert await anext(events) == batch_of(lines(1, 2))
        await room.build.write(lines(3, 4), published=False)
        assert await anext(events) == batch_of(lines(3, 4))
        await room.build.mark(Status.CANCELED)
        assert [event async for event in events] == [Status.CANCELED, End(Status.CANCELED)]


async def test_a_cut_in_the_log_is_a_gap_live_and_later(room: Room) -> None:
    cut = [*lines(1, 3), line(900), line(901)]
    async with following(room) as events:
        await room.build.write(lines(1, 2))
        await room.build.write([line(3), line(900)])
        await room.build.write([line(901)])
        await room.build.archive(cut)
        await room.build.end()
        live = [event async for event in events]
    assert seqs(live) == [1, 2, 3, 900, 901]
    assert [event for event in live if isinstance(event, Gap)] == [Gap(4, 899)]
    wanted = [Status.READY, batch_of(lines(1, 3)), Gap(4, 899), batch_of(lines(900, 901)), End(Status.READY)]
    assert await whole(room) == wanted
    assert (await whole(room, after=500))[1:-1] == [Gap(501, 899), batch_of(lines(900, 901))]


async def test_batches_that_come_twice_or_overlap_are_seen_once(room: Room) -> None:
    async with following(room) as events:
        await room.build.write(lines(1, 4))
        assert await take(events, 4) == [1, 2, 3, 4]
        for batch in (lines(1, 4), lines(3, 6)):
            room.hub.publish(room.build.deployment_id, batch_of(batch))
        assert await take(events, 2) == [5, 6]


async def test_after_the_end_the_archive_is_read_and_without_one_the_stream(room: Room) -> None:
    await room.build.write(lines(1, 3))
    await room.build.end()
    assert await whole(room, 1) == [Status.READY, batch_of(lines(2, 3)), End(Status.READY)]
    await room.build.archive(lines(1, 5))
    assert await whole(room, 1) == [Status.READY, batch_of(lines(2, 5)), End(Status.READY)]
    await room.build.redis.flushall()
    assert seqs(await whole(room)) == [1, 2, 3, 4, 5]
    assert await whole(room, 999_999_999) == [Status.READY, End(Status.READY)]


async def test_a_damaged_archive_is_an_error_only_where_there_is_no_stream(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    await room.build.write(lines(1, 3))
    await room.build.end()
    await room.build.store.write(keys.build_log(room.build.project_id, room.build.deployment_id, 1), b"?")
    assert seqs(await whole(room)) == [1, 2, 3]
    assert "damaged" in caplog.text
    caplog.clear()
    await room.build.redis.flushall()
    with pytest.raises(ArchiveDamaged):
        await whole(room)


async def test_all_who_ask_at_the_same_time_share_one_read_of_the_archive(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.build.archive(lines(1, 2000))
    await room.build.end()
    reads = 0

    async def counted(store: ArtifactStore, *ids: Any) -> ArchivedLog | None:
        nonlocal reads
        reads += 1
        await eventually(lambda: sum(watch.status is Status.READY for watch in room.hub.watches) == 50)
        return await fetch_archived_log(store, *ids)

    monkeypatch.setattr(follow, "fetch_archived_log", counted)
    everybody = await asyncio.gather(*(whole(room, after=number) for number in range(50)))
    assert [seqs(each) for each in everybody] == [list(range(n + 1, 2001)) for n in range(50)]
    assert reads == 1


async def test_a_store_or_a_redis_that_is_away_never_looks_like_the_end_of_the_log(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.build.write(lines(1, 3))
    await room.build.end()

    async def away(*_arguments: object, **_options: object) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as broken:
        broken.setattr(follow, "fetch_archived_log", away)
        with pytest.raises(StoreUnavailable):
            await whole(room)

    async def refused(*_arguments: object, **_options: object) -> None:
        raise RedisError

    monkeypatch.setattr(follow, "read_page", refused)
    with pytest.raises(RedisError):
        await whole(room)
    with pytest.raises(RedisError):
        [event async for event in room.logs.read(room.build.project_id, room.build.deployment_id, after=0)]


async def test_a_redis_that_cant_be_read_for_a_while_is_no_gap(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refused(*_arguments: object, **_options: object) -> None:
        raise RedisError

    async with following(room) as events:
        await room.build.write(lines(1, 2))
        assert await anext(events) == batch_of(lines(1, 2))
        with monkeypatch.context() as broken:
            broken.setattr(follow, "read_page", refused)
            await room.build.write(lines(3, 4), published=False)
            room.hub.publish(room.build.deployment_id, batch_of(lines(5, 6)))
            waiting = asyncio.ensure_future(anext(events))
            await eventually(lambda: "can't be read now" in caplog.text)
        await room.build.write(lines(5, 8))
        # All at once, where it is a look that finds them.
        seen = seqs([await waiting])
        assert seen + await take(events, 6 - len(seen)) == [3, 4, 5, 6, 7, 8]


async def test_a_database_that_is_away_for_a_while_stops_no_reader(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refused(*_arguments: object) -> None:
        raise ConnectionRefusedError

    async with following(room) as events:
        with monkeypatch.context() as broken:
            broken.setattr(sessions, "list_alive", refused)
            waiting = asyncio.ensure_future(anext(events))
            await eventually(lambda: "can't be read now" in caplog.text)
            await room.build.write(lines(1, 2))
            assert await waiting == batch_of(lines(1, 2))
        await room.build.mark(Status.READY)
        assert await anext(events) is Status.READY


async def test_a_look_tells_no_status_to_a_reader_that_asks_for_its_first(room: Room, pool: Pool) -> None:
    """It may be the older one of the two, and would be told last."""
    hub = Hub()
    with hub.watch(room.watch()) as asking:
        await Looks(pool, room.build.redis, hub)._at_rows()
        hub.publish(asking.deployment_id, batch_of(lines(1, 1)))
        assert await asking.next() == batch_of(lines(1, 1))


async def test_a_session_that_ended_unheard_reads_no_further(room: Room, pool: Pool) -> None:
    async with following(room) as events:
        await sessions.delete_session(pool, room.owner.session)
        with pytest.raises(WatchEnded):
            await anext(events)
    with pytest.raises(WatchEnded):
        await whole(room)


async def test_a_deleted_projects_log_is_read_no_further(
    room: Room, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with following(room) as events:
        await projects.delete_project(pool, room.owner.project_id, room.owner.user.id)
        with pytest.raises(DeploymentNotFound):
            await anext(events)


async def test_a_reader_that_falls_behind_is_told_so_and_no_other_is(room: Room) -> None:
    async with following(room) as slow, following(room) as quick:
        await room.build.write(lines(1, 1))
        assert await take(slow, 1) == await take(quick, 1) == [1]
        for seq in range(2, QUEUE_MAX_ITEMS + 12):
            await room.build.write(lines(seq, seq))
            assert await take(quick, 1) == [seq]
        with pytest.raises(LogClientTooSlow):
            await anext(slow)
    async with following(room, after=1) as again:
        assert await take(again, QUEUE_MAX_ITEMS + 10) == list(range(2, QUEUE_MAX_ITEMS + 12))


LAST = 20_000


async def reader(room: Room, number: int) -> list[int]:
    """Joins at a random moment, is cut again and again, and comes back from where it was."""
    chance = random.Random(number)
    seen: list[int] = []
    await _until_written(room.build, chance.randrange(LAST // 2))
    while True:
        patience = chance.randrange(1, 60)
        after = seen[-1] if seen else 0
        async with aclosing(room.logs.follow(room.watch(), after=after)) as events:
            async for event in events:
                assert not isinstance(event, Gap)
                if isinstance(event, End):
                    return seen
                seen += seqs([event])
                patience -= 1
                if not patience:
                    break


async def _until_written(build: Build, seq: int) -> None:
    await eventually(
        lambda: last_seq(build.redis, build.deployment_id), lambda last: last >= seq, every_s=0.005
    )


async def breaker(build: Build) -> None:
    """Kills the subscription, each time that it is back, while the log is being written."""
    for part in range(1, 9, 2):
        await _until_written(build, part * LAST // 10)
        await eventually(lambda: kill_clients(build.redis, LISTENING), every_s=0.01)


async def test_every_reader_gets_every_line_once_while_it_and_the_subscription_are_cut(
    room: Room, redis_url: str
) -> None:
    build = room.build
    await build.write(lines(1, 1))
    live = RedisLive(redis_url, build.project_id, build.deployment_id)

    async def write() -> None:
        # Faster than one turn of the loop a line, in bursts of all sizes, as programs print.
        for seq in range(2, LAST + 1):
            live.send([Line(seq, ORIGIN, f"line {seq}")])
            if seq % 100 == 0:
                await asyncio.sleep(0.003)
        await live.close(60)
        await build.archive(lines(1, LAST))
        await build.end()

    async with asyncio.timeout(60):
        everybody = asyncio.gather(*(reader(room, number) for number in range(6)))
        await asyncio.gather(breaker(build), write())
        for seen in await everybody:
            assert seen == list(range(1, LAST + 1))


async def test_a_restart_of_redis_loses_no_line(own_valkey: OwnValkey, room: Room, pool: Pool) -> None:
    async with (
        Redis.from_url(own_valkey.url) as redis,
        Redis.from_url(own_valkey.url, socket_timeout=None) as listening,
    ):
        hub = Hub()
        build = room.build.on(redis)
        room = replace(room, hub=hub, logs=Logs(pool, redis, build.store, hub), build=build)
        live = RedisLive(own_valkey.url, build.project_id, build.deployment_id)
        async with subscriber(listening, hub), looks(pool, redis, hub), following(room) as early:
            seen: list[int] = []
            for last in (100, 200, 300):
                for seq in range(last - 99, last + 1):
                    live.send([Line(seq, ORIGIN, "x")])
                # Some of it before the restart, the rest after it.
                seen += await take(early, last - 50 - len(seen))
                await own_valkey.stop()
                await own_valkey.start()
            await live.close(60)
            await build.end()
            seen += seqs([event async for event in early])
        assert seen == list(range(1, 301))
        assert seqs(await whole(room)) == seen
