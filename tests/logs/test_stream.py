"""The live store."""

from scalemesh import keys
from scalemesh.logs import stream
from tests.logs.build import Build, line, lines

PAGE = stream.PAGE_ENTRIES


async def seqs(build: Build, after: int) -> list[int]:
    return [each.seq for each in await stream.read_lines(build.redis, build.deployment_id, after)]


async def test_every_line_is_read_over_many_pages(build: Build) -> None:
    for first in range(1, 10 * PAGE, 3):
        await build.write(lines(first, first + 2))
    last = 10 * PAGE + 1
    assert await seqs(build, 0) == list(range(1, last + 1))
    assert await seqs(build, 100) == list(range(101, last + 1))
    assert await seqs(build, last - 1) == [last]
    assert await seqs(build, last) == []
    assert await seqs(build, 999_999_999) == []


async def test_a_page_can_end_before_a_line(build: Build) -> None:
    for first in (1, 4, 7):
        await build.write(lines(first, first + 2))
    page = await stream.read_page(build.redis, build.deployment_id, 1, upto=6)
    assert [each["seq"] for each in page] == [2, 3, 4, 5, 6]
    assert await stream.read_page(build.redis, build.deployment_id, 6, upto=8) == []


async def test_a_build_without_lines_has_none(build: Build) -> None:
    assert await seqs(build, 0) == []
    assert await stream.last_seq(build.redis, build.deployment_id) == 0


async def test_the_servers_own_word_is_a_line_like_the_builders(build: Build) -> None:
    await build.write([line(1), line(41)])
    async with build.redis.pubsub() as channel:
        await channel.subscribe(keys.log_channel(build.project_id))
        await channel.get_message(timeout=60)
        await stream.append_line(build.redis, build.project_id, build.deployment_id, line(42, "gone"))
        message = await channel.get_message(timeout=60)
    assert message is not None
    assert b'"seq": 42' in message["data"]
    assert await stream.last_seq(build.redis, build.deployment_id) == 42
    assert await stream.read_lines(build.redis, build.deployment_id, 41) == [line(42, "gone")]
