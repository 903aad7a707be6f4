"""WEB_CONCURRENCY: several real processes on one port are one server to everybody outside."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

from scalemesh.app import CannotListen, listen
from scalemesh.embedded import EmbeddedServers
from tests.parts.git import GitServer
from tests.parts.leftovers import is_alive
from tests.parts.ports import unused_port
from tests.parts.server import Client, eventually
from tests.parts.server_process import ServerProcess, server_process

TRIES = 50


def siblings(server: ServerProcess) -> list[psutil.Process]:
    """Those that listen."""
    children = psutil.Process(server.process.pid).children()
    return [child for child in children if is_alive(child) and server.client.port in _listening(child)]


def _listening(process: psutil.Process) -> set[int]:
    try:
        connections = process.net_connections("tcp")
    except psutil.NoSuchProcess:
        return set()
    return {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}


async def sibling_of(server: ServerProcess) -> psutil.Process:
    [sibling] = await eventually(lambda: siblings(server), within_s=60, every_s=0.2)
    return psutil.Process(sibling.pid)


@asynccontextmanager
async def visitor_of(process: psutil.Process, port: int) -> AsyncIterator[Client]:
    """Somebody whose connection ``process`` has accepted, as the kernel says."""
    for _ in range(TRIES):
        sockets: list[socket.socket] = []

        def make(address: aiohttp.AddrInfoType, made: list[socket.socket] = sockets) -> socket.socket:
            made.append(socket.socket(address[0], address[1], address[2]))
            return made[-1]

        connector = aiohttp.TCPConnector(limit=1, socket_factory=make, family=socket.AF_INET)
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=jar) as session:
            client = Client(session, port)
            await client.get("/health/live")
            mine = sockets[0].getsockname()
            if mine in [connection.raddr for connection in process.net_connections("tcp")]:
                yield client
                assert len(sockets) == 1, "the connection was lost, and the next one is anybody's"
                return
    pytest.fail(f"none of {TRIES} connections came to process {process.pid}")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def watch_to_the_end(user: Client, deployment_id: str) -> list[str]:
    texts = []
    url = f"{user.origin}/api/deployments/{deployment_id}/logs/live"
    async with user.session.ws_connect(url, headers={"Origin": user.origin}) as console:
        async for message in console:
            frame = message.json()
            texts += [line["text"] for line in frame.get("lines", ())]
    return texts


async def test_every_process_deploys_shows_logs_and_sees_what_goes_live(
    git_server: GitServer, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    url = await git_server.make_repo("several", {"index.html": "one", "build.sh": "sleep 1; echo built"})
    async with server_process(tmp_path / "data", session, WEB_CONCURRENCY="2") as server:
        first, second = psutil.Process(server.process.pid), await sibling_of(server)
        port = server.client.port
        async with visitor_of(first, port) as user, visitor_of(second, port) as same_user:
            email = await user.sign_up()
            answer = await same_user.post(
                "/user/login", {"email": email, "password": "correct horse battery"}
            )
            assert answer.status == 200
            project = await same_user.project(url, buildCommand="sh build.sh", outputDirectory=".")

            async def both_show(content: str) -> None:
                for visitor in (user, same_user):
                    await eventually(
                        lambda visitor=visitor: visitor.site(project["url"]),  # type: ignore[misc]
                        lambda answer: answer.text == content,
                    )

            deployments = []
            for user_, content in ((same_user, "one"), (user, "two")):
                await git_server.commit("several", {"index.html": content}, content)
                deployments.append(await user_.deploy(project["projectID"]))
                # At both, for a connection that rests is closed.
                for ended in await asyncio.gather(*(u.ended(deployments[-1]) for u in (user, same_user))):
                    assert ended["status"] == "ready", await user_.log(deployments[-1])
                await both_show(content)

            await same_user.post(f"/api/deployments/{deployments[0]}/promote")
            await both_show("one")

            async with visitor_of(first, port) as one, visitor_of(second, port) as other:
                for visitor in (one, other):
                    await visitor.post("/user/login", {"email": email, "password": "correct horse battery"})
                third = await user.deploy(project["projectID"])
                logs = await asyncio.gather(watch_to_the_end(one, third), watch_to_the_end(other, third))
            assert logs[0] == logs[1]
            assert "built" in logs[0]
        await server.end(signal.SIGTERM)


async def test_a_sibling_that_is_killed_is_back_and_none_outlives_the_first(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with server_process(tmp_path / "data", session, WEB_CONCURRENCY="2") as server:
        killed = await sibling_of(server)
        killed.kill()
        again = await eventually(
            lambda: siblings(server),
            lambda found: found and found[0].pid != killed.pid,
            within_s=60,
            every_s=0.2,
        )
        async with visitor_of(again[0], server.client.port) as visitor:
            assert (await visitor.get("/health")).status == 200
        await server.end(signal.SIGKILL)


async def test_siblings_share_a_database_and_a_redis_that_are_given(
    tmp_path: Path, session: aiohttp.ClientSession, database: str, servers: EmbeddedServers
) -> None:
    given = {
        "DATABASE_URL": database,
        "REDIS_URL": servers.redis_url or "",
        "SESSION_KEY": "for tests only, long",
    }
    async with server_process(tmp_path / "data", session, WEB_CONCURRENCY="3", **given) as server:
        for sibling in await eventually(
            lambda: siblings(server), lambda s: len(s) == 2, within_s=60, every_s=0.2
        ):
            async with visitor_of(sibling, server.client.port) as visitor:
                assert (await visitor.get("/health")).status == 200


def test_a_port_that_is_shared_lets_in_only_who_belongs_there() -> None:
    port = unused_port()
    with listen("127.0.0.1", port, opens=True), listen("127.0.0.1", port, joins=True):
        for opens in (False, True):
            with pytest.raises(CannotListen, match=f"Port {port} on 127.0.0.1 is in use"):
                listen("127.0.0.1", port, opens=opens)
    with listen("127.0.0.1", port), pytest.raises(CannotListen):
        listen("127.0.0.1", port, joins=True)
