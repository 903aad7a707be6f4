"""Whole servers in this process, and clients that speak to them like a program or a browser does."""

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict

from scalemesh.app import listen, running_server
from scalemesh.embedded import EmbeddedServers
from scalemesh.settings import load_settings
from tests.parts.ports import unused_port

PASSWORD = "correct horse battery"
_addresses = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Client:
    """One visitor with a cookie jar, at an address of its own. Redirects are not followed."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session = session
        self.port = port
        self.address = f"10.{secrets.randbelow(250)}.{next(_addresses) // 250}.{next(_addresses) % 250}"

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    async def request(self, method: str, path: str, **options: Any) -> Answer:
        headers = CIMultiDict(options.pop("headers", {}))
        headers.setdefault("X-Forwarded-For", self.address)
        url = f"http://localhost:{self.port}{path}"
        async with self.session.request(
            method, url, headers=headers, allow_redirects=False, **options
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.request("GET", path, **options)

    async def post(self, path: str, body: object = None, **options: Any) -> Answer:
        return await self.request("POST", path, json={} if body is None else body, **options)

    async def submit(self, path: str, **fields: str) -> Answer:
        """As a browser sends a form of our own page."""
        return await self.request("POST", path, data=fields, headers={"Origin": self.origin})

    async def site(self, url: str, path: str = "/", **options: Any) -> Answer:
        """What the site at ``url`` answers; no name is resolved."""
        host = url.removeprefix("http://")
        return await self.get(path, headers={"Host": host, **options.pop("headers", {})}, **options)

    async def sign_up(self, email: str = "") -> str:
        """A new account, logged in. Returns its email."""
        email = email or f"user-{secrets.token_hex(6)}@example.com"
        answer = await self.post("/user/signup", {"name": "Ada", "email": email, "password": PASSWORD})
        assert answer.status == 201, answer.text
        return email

    async def project(self, git_url: str, **fields: Any) -> dict[str, Any]:
        body = {"name": f"site {secrets.token_hex(4)}", "gitUrl": git_url, **fields}
        answer = await self.post("/project", body)
        assert answer.status == 201, answer.text
        return dict(answer.json)

    async def deploy(self, project_id: str, **fields: Any) -> str:
        answer = await self.post("/deploy", {"projectID": project_id, **fields})
        assert answer.status == 202, answer.text
        return str(answer.json["deploymentID"])

    async def deployment(self, deployment_id: str) -> dict[str, Any]:
        return dict((await self.get(f"/api/deployments/{deployment_id}")).json)

    async def ended(self, deployment_id: str, *, within_s: float = 60) -> dict[str, Any]:
        """The deployment once it has ended."""
        found: dict[str, Any] = await eventually(
            lambda: self.deployment(deployment_id),
            lambda seen: seen["status"] not in ("queued", "building"),
            within_s=within_s,
        )
        return found

    async def log(self, deployment_id: str) -> str:
        answer = await self.get(f"/api/deployments/{deployment_id}/logs", headers={"Accept": "text/plain"})
        assert answer.status == 200, answer.text
        return answer.text


async def eventually(
    look: Callable[[], Any],
    is_right: Callable[[Any], bool] = bool,
    *,
    within_s: float = 60,
    every_s: float = 0.05,
) -> Any:
    """Looks until what is seen is right; fails with what was seen last."""
    deadline = time.monotonic() + within_s
    while True:
        seen = look()
        if asyncio.iscoroutine(seen):
            seen = await seen
        if is_right(seen):
            return seen
        assert time.monotonic() < deadline, f"not within {within_s} s; last seen: {seen!r}"
        await asyncio.sleep(every_s)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. ``redis_url`` is that of its own Valkey, where it was given none."""

    port: int
    data_dir: Path
    redis_url: str | None

    @asynccontextmanager
    async def visitor(self) -> AsyncIterator[Client]:
        """Somebody who isn't logged in."""
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            yield Client(session, self.port)


StartServer = Callable[..., AbstractAsyncContextManager[Server]]


@asynccontextmanager
async def start_server(data_dir: Path, **settings: object) -> AsyncIterator[Server]:
    """A server on a free port; ``settings`` by the environment's names."""
    port = unused_port()
    given = {
        "HOST": "127.0.0.1",
        "PORT": port,
        "PUBLIC_URL": f"http://localhost:{port}",
        "SITES_DOMAIN": f"localhost:{port}",
        "DATA_DIR": data_dir,
        "SESSION_KEY": "a key for tests only",
        "ALLOW_LOCAL_REPOS": True,
        "TRUSTED_PROXIES": "127.0.0.0/8",
        **settings,
    }
    with listen("127.0.0.1", port) as listener:
        async with running_server(load_settings(**given), listener) as running:
            yield Server(port, data_dir, running.servers.redis_url)


@pytest.fixture
def new_server(tmp_path: Path, database: str, redis_url: str) -> StartServer:
    """Starts a server with a database of its own: ``async with new_server(SIGNUPS="closed") as server``."""

    def start(**settings: object) -> AbstractAsyncContextManager[Server]:
        return start_server(
            tmp_path / "data", **{"DATABASE_URL": database, "REDIS_URL": redis_url, **settings}
        )

    return start


@pytest.fixture(scope="session")
async def server(
    tmp_path_factory: pytest.TempPathFactory, servers: EmbeddedServers, postgres_dsn: str
) -> AsyncIterator[Server]:
    """One server for all tests of a worker that only need accounts of their own."""
    async with start_server(
        tmp_path_factory.mktemp("server"), DATABASE_URL=postgres_dsn, REDIS_URL=servers.redis_url
    ) as running:
        yield running


@pytest.fixture
async def visitor(server: Server) -> AsyncIterator[Client]:
    """Somebody who isn't logged in."""
    async with server.visitor() as client:
        yield client


@pytest.fixture
async def user(server: Server) -> AsyncIterator[Client]:
    """Somebody with a new account, logged in."""
    async with server.visitor() as client:
        await client.sign_up()
        yield client


@pytest.fixture
async def stranger(server: Server) -> AsyncIterator[Client]:
    """Somebody else with a new account, logged in."""
    async with server.visitor() as client:
        await client.sign_up()
        yield client
