"""What every reader of a log is promised, whether it has a socket or a response."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from socket import socket

import pytest

from scalemesh import app
from scalemesh.model import ProjectID, Status
from scalemesh.web import log_readers
from tests.logs.build import Build, building, line, lines, long_line
from tests.logs.deaf import connect, drain
from tests.parts.server import PASSWORD, Client, Server, StartServer, eventually
from tests.web.readers import BrokenOff, Kind, following, take

pytestmark = pytest.mark.parametrize("kind", Kind)

HOSTILE = "<img src=x onerror=alert(1)>\u202e\u2028\x85</script>\r"


def words(first: int, last: int) -> list[str]:
    return [f"line {seq}" for seq in range(first, last + 1)]


async def test_what_was_what_comes_what_lacks_and_the_end(user: Client, build: Build, kind: Kind) -> None:
    await build.write([*lines(1, 2), line(3, HOSTILE), line(4, "")])
    async with asyncio.timeout(60), following(user, kind, build.deployment_id) as rows:
        assert await take(rows, 4) == [*words(1, 2), HOSTILE, ""]
        await build.write(lines(5, 5))
        assert await take(rows, 1) == words(5, 5)
        await build.write(lines(6, 7), published=False)
        await build.write(lines(10, 11))
        await build.end(Status.FAILED)
        expected = [*words(6, 7), "[lines 8 to 9 were left out]", *words(10, 11)]
        assert [row async for row in rows] == expected


async def test_a_range_ends_with_its_last_line(user: Client, build: Build, kind: Kind) -> None:
    await build.write(lines(1, 4))
    async with asyncio.timeout(60), following(user, kind, build.deployment_id, after=2, upto=6) as rows:
        assert await take(rows, 2) == words(3, 4)
        await build.write(lines(5, 9))
        assert [row async for row in rows] == words(5, 6)


async def test_a_range_that_ends_in_a_gap_ends_there(user: Client, build: Build, kind: Kind) -> None:
    await build.write([*lines(1, 1), *lines(9, 9)])
    async with asyncio.timeout(60), following(user, kind, build.deployment_id, upto=5) as rows:
        assert [row async for row in rows] == ["line 1", "[lines 2 to 5 were left out]"]


async def test_a_client_that_leaves_is_noticed(user: Client, build: Build, kind: Kind) -> None:
    await build.write(lines(1, 1))
    async with following(user, kind, build.deployment_id) as rows:
        assert await take(rows, 1) == ["line 1"]
        assert _sending(build) == 1
    await eventually(lambda: _sending(build) == 0)


async def test_another_sites_page_follows_nothing(user: Client, build: Build, kind: Kind) -> None:
    path = kind.path(build.deployment_id)
    for headers in (
        {"Origin": f"http://shop.localhost:{user.port}"},
        {"Origin": user.origin, "Sec-Fetch-Site": "same-site"},
    ):
        answer = await user.get(path, headers={**kind.headers, **headers})
        assert (answer.status, answer.json["code"]) == (403, "foreign_origin")


async def test_a_stranger_is_told_that_there_is_none(
    build: Build, visitor: Client, stranger: Client, kind: Kind
) -> None:
    headers = {**kind.headers, "Origin": visitor.origin, "X-Request-ID": "logs-test"}
    assert (await visitor.get(kind.path(build.deployment_id), headers=headers)).status == 401
    theirs = await stranger.get(kind.path(build.deployment_id), headers=headers)
    never = await stranger.get(kind.path("zzzzzzzzzzzz"), headers=headers)
    assert (theirs.status, theirs.json["code"]) == (404, "deployment_not_found")
    assert theirs.body == never.body


async def test_a_client_that_never_reads_is_closed_and_slows_nobody(
    user: Client, build: Build, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_readers, "CLOSE_TIMEOUT_S", 0.2)
    stuck, count = 200, 1600
    with await _deaf(user, build, kind) as deaf:
        # 1.6 MB: more than the kernel takes for a client. Whoever reads has as long as ever.
        with monkeypatch.context() as impatient:
            impatient.setattr(log_readers, "SEND_TIMEOUT_S", 0.5)
            for first in range(1, stuck, 2):
                await build.write([long_line(first), long_line(first + 1)])
        async with asyncio.timeout(60), following(user, kind, build.deployment_id) as rows:
            reading = asyncio.ensure_future(take(rows, count))
            for first in range(stuck + 1, count, 2):
                await build.write([long_line(first), long_line(first + 1)])
            assert await reading == [long_line(seq).text for seq in range(1, count + 1)]
            await eventually(lambda: _sending(build) == 1)
        # And it is off the line: what the kernel still held for it is all it gets.
        assert await asyncio.wait_for(drain(deaf), 60) < count * 8000


@dataclass(frozen=True, slots=True)
class Pair:
    """Two servers of one database and Redis, and one user's session on both."""

    server: Server
    here: Client
    there: Client
    build: Build


@pytest.fixture
async def pair(new_server: StartServer, database: str, redis_url: str) -> AsyncIterator[Pair]:
    async with (
        new_server() as one,
        new_server() as two,
        one.visitor() as user,
        _building(user, one, database, redis_url) as build,
    ):
        yield Pair(one, user, Client(user.session, two.port), build)


async def test_who_comes_back_gets_what_is_missing_and_a_log_out_ends_all_of_it_on_every_server(
    pair: Pair, kind: Kind
) -> None:
    deployment_id = pair.build.deployment_id
    email = (await pair.here.get("/user/me")).json["email"]
    await pair.build.write(lines(1, 4))
    async with asyncio.timeout(60), following(pair.here, kind, deployment_id) as rows:
        assert await take(rows, 4) == words(1, 4)
    await pair.build.write(lines(5, 9))
    async with (
        asyncio.timeout(60),
        pair.server.visitor() as phone,
        following(pair.here, kind, deployment_id, after=9) as here,
        following(pair.there, kind, deployment_id, after=4) as there,
        following(phone, kind, deployment_id, after=9) as elsewhere,
    ):
        assert (await phone.post("/user/login", {"email": email, "password": PASSWORD})).status == 200
        assert await take(there, 5) == words(5, 9)
        await pair.build.write(lines(10, 10))
        assert await take(there, 1) == await take(here, 1) == await take(elsewhere, 1) == ["line 10"]
        assert (await pair.here.post("/user/logout")).status == 204
        for rows in (here, there):
            with pytest.raises(BrokenOff):
                await anext(rows)
        await pair.build.write(lines(11, 11))
        assert await take(elsewhere, 1) == ["line 11"]


async def test_a_server_that_stops_says_so_and_does_not_wait_for_those_who_do_not_listen(
    new_server: StartServer, database: str, redis_url: str, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever is waited for is waited for longer than this test has.
    monkeypatch.setattr(app, "_SHUTDOWN_S", 3600.0)
    monkeypatch.setattr(log_readers, "SEND_TIMEOUT_S", 3600.0)
    async with AsyncExitStack() as running:
        server = await running.enter_async_context(new_server())
        async with server.visitor() as user, _building(user, server, database, redis_url) as build:
            await build.write(lines(1, 1))
            with await _deaf(user, build, kind):
                async with following(user, kind, build.deployment_id) as rows:
                    assert await take(rows, 1) == ["line 1"]
                    stopping = asyncio.ensure_future(running.aclose())
                    with pytest.raises(BrokenOff) as broken:
                        await anext(rows)
                    async with asyncio.timeout(60):
                        await stopping
                assert kind is not Kind.SOCKET or broken.value.args == (1001,)


def _sending(build: Build) -> int:
    """How many readers of the deployment the servers of this process have."""
    return sum(task.get_name() == f"log of {build.deployment_id}" for task in asyncio.all_tasks())


@asynccontextmanager
async def _building(user: Client, server: Server, database: str, redis_url: str) -> AsyncIterator[Build]:
    await user.sign_up()
    project = await user.project("http://127.0.0.1:9/none.git")
    artifacts = server.data_dir / "artifacts"
    async with building(database, redis_url, artifacts, ProjectID(project["projectID"])) as running:
        yield running


async def _deaf(client: Client, build: Build, kind: Kind) -> socket:
    before = _sending(build)
    request_line = f"GET {kind.path(build.deployment_id)} HTTP/1.1\r\n"
    connection = await connect(client, request_line, Origin=client.origin, **kind.headers)
    await eventually(lambda: _sending(build) == before + 1)
    return connection
