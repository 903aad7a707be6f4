"""Deploys and kills, side by side, against a server process that is started again whenever it ends."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.faults.plan import Deploy, Kill, Plan, Site, Victim
from tests.parts.git import GitServer
from tests.parts.ports import unused_port
from tests.parts.server import Answer, Client, eventually
from tests.parts.server_process import is_up, spawn_server

_USERS = 3
# A restart with a recovery of PostgreSQL, on a machine that has other things to do.
_START_S = 180.0
_ANSWER_S = _START_S
# All that is queued at the end, each with its attempts, their leases and their pauses.
_CALM_S = 300.0
_VICTIM_S = 3.0

_SERVERS = (Victim.SERVER, Victim.SERVER_BY_SIGTERM)

_BUILD = "mkdir -p dist && cp index.html dist/"
_COMMANDS: Mapping[Site, str | None] = {
    Site.STATIC: None,
    Site.QUICK: f"echo quick; {_BUILD}",
    Site.SLOW: f"for i in 1 2 3 4 5 6 7 8 9 10; do echo slow $i; sleep 0.1; done; {_BUILD}",
    Site.SLOWER: f"for i in 1 2 3 4 5 6; do echo slower $i; sleep 0.5; done; {_BUILD}",
    Site.CHATTY: f"seq 1 5000; sleep 0.3; seq 5001 10000; {_BUILD}",
    Site.BROKEN: "echo broken; sleep 0.3; exit 7",
}


@dataclass(frozen=True, slots=True)
class Project:
    user: Client
    project_id: str
    repository: str


@dataclass
class Storm:
    """One server and its users. ``root`` holds all that it writes, and every build command has ``marker``."""

    root: Path
    git: GitServer
    session: aiohttp.ClientSession
    marker: str
    port: int = field(default_factory=unused_port)
    projects: dict[Site, Project] = field(default_factory=dict)
    deployments: dict[str, Client] = field(default_factory=dict)
    """Who deployed it, by its id."""
    killed: list[Victim] = field(default_factory=list)
    _process: asyncio.subprocess.Process | None = None
    _up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def data_dir(self) -> Path:
        return self.root / "data"

    @property
    def tmp_dir(self) -> Path:
        return self.root / "tmp"

    async def keep_server(self) -> None:
        """As a service manager does. Never returns."""
        client = Client(self.session, self.port)
        while True:
            self._process = await spawn_server(
                self.data_dir,
                self.port,
                TMPDIR=str(self.tmp_dir),
                BUILD_CONCURRENCY="3",
                BUILDS_PER_USER="2",
                TRUSTED_PROXIES="127.0.0.0/8",
            )
            ended = asyncio.create_task(self._process.wait())
            async with asyncio.timeout(_START_S):
                while not ended.done() and not await is_up(client):  # noqa: ASYNC110 - it sends no event
                    await asyncio.sleep(0.05)
            self._up.set()
            await ended
            self._up.clear()

    async def stop_server(self) -> int:
        """By SIGTERM; nothing may keep it any more. Returns its exit status."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        return await self._process.wait()

    async def up(self) -> None:
        async with asyncio.timeout(_START_S):
            await self._up.wait()

    async def populate(self, sessions: list[aiohttp.ClientSession]) -> None:
        """Users, and the projects of ``Site`` among them in turn."""
        users = [Client(session, self.port) for session in sessions]
        for user in users:
            await user.sign_up()
        for number, site in enumerate(Site):
            user = users[number % len(users)]
            url = await self.git.make_repo(
                f"{site}-{self.marker}", {"index.html": f"<h1>{site}</h1>" + "<p>.</p>" * 500}
            )
            command = _COMMANDS[site]
            build = {"buildCommand": f": {self.marker}; {command}", "outputDirectory": "dist"}
            project = await user.project(url, **(build if command else {}))
            self.projects[site] = Project(user, project["projectID"], f"{site}-{self.marker}")

    async def deploy_all(self, deploys: "list[Deploy]") -> None:
        async with asyncio.TaskGroup() as cancels:
            for deploy in deploys:
                await asyncio.sleep(deploy.after_s)
                deployment_id = await self.deploy(deploy.site, changed=deploy.changed)
                if deploy.cancel_after_s is not None:
                    cancels.create_task(self._cancel(deployment_id, deploy.cancel_after_s))

    async def deploy(self, site: Site, *, changed: bool) -> str:
        """Asked for with one key until it is answered: an answer that was lost deploys nothing twice."""
        project = self.projects[site]
        if changed:
            page = f"<h1>{secrets.token_hex(8)}</h1>"
            await self.git.commit(project.repository, {"index.html": page, "more.txt": page * 300}, "More")
        key = secrets.token_hex(8)
        answer = await self._answer(
            lambda: project.user.post(
                "/deploy", {"projectID": project.project_id}, headers={"Idempotency-Key": key}
            )
        )
        assert answer.status == 202, answer.text
        deployment_id = str(answer.json["deploymentID"])
        self.deployments[deployment_id] = project.user
        return deployment_id

    async def _cancel(self, deployment_id: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        user = self.deployments[deployment_id]
        answer = await self._answer(lambda: user.post(f"/api/deployments/{deployment_id}/cancel"))
        assert answer.status in (202, 409), answer.text

    async def _answer(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """The first that is not a server's that goes, or comes, or misses its database."""

        async def asked() -> Answer | None:
            with suppress(aiohttp.ClientError, TimeoutError):
                answer = await ask()
                if answer.status < 500:
                    return answer
            return None

        answer = await eventually(asked, within_s=_ANSWER_S, every_s=0.2)
        assert isinstance(answer, Answer)
        return answer

    async def kill_all(self, kills: "list[Kill]") -> None:
        for kill in kills:
            await self.up()
            await asyncio.sleep(kill.after_s)
            await self._kill(kill)
            self.killed.append(kill.victim)

    async def _kill(self, kill: Kill) -> None:
        """Waits for a victim, as there is not always a builder; kills everything where none comes."""
        deadline = asyncio.get_running_loop().time() + _VICTIM_S
        while asyncio.get_running_loop().time() < deadline:
            if kill.victim is Victim.EVERYTHING:
                self._kill_everything()
                return
            if found := self._victims(kill.victim):
                by_term = kill.victim is Victim.SERVER_BY_SIGTERM
                with suppress(ProcessLookupError):
                    os.kill(found[int(kill.pick * len(found))], signal.SIGTERM if by_term else signal.SIGKILL)
                    if kill.victim in _SERVERS:
                        self._up.clear()
                    return
            await asyncio.sleep(0.05)
        self._kill_everything()

    def _kill_everything(self) -> None:
        """As where a container or a machine is switched off."""
        assert self._process is not None
        self._up.clear()
        with suppress(psutil.NoSuchProcess):
            server = psutil.Process(self._process.pid)
            for process in [server, *server.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    def _victims(self, victim: Victim) -> list[int]:
        assert self._process is not None
        if victim in _SERVERS:
            return [self._process.pid] if self._process.returncode is None else []
        try:
            below = psutil.Process(self._process.pid).children(recursive=True)
            return [process.pid for process in below if _is(victim, process)]
        except psutil.NoSuchProcess:
            return []

    async def ended(self, deployment_id: str) -> dict[str, Any]:
        """The deployment once it has ended."""

        async def deployment() -> Any:
            return (await self._get(deployment_id, f"/api/deployments/{deployment_id}")).json

        def has_ended(seen: Mapping[str, Any]) -> bool:
            return seen["status"] not in ("queued", "building")

        return dict(await eventually(deployment, has_ended, within_s=_CALM_S, every_s=0.2))

    async def logs(self, deployment_id: str) -> str:
        """NDJSON, as the API gives it."""
        return (await self._get(deployment_id, f"/api/deployments/{deployment_id}/logs")).text

    async def _get(self, deployment_id: str, path: str) -> Answer:
        user = self.deployments[deployment_id]
        answer = await self._answer(lambda: user.get(path))
        assert answer.status == 200, answer.text
        return answer


def _is(victim: Victim, process: psutil.Process) -> bool:
    match victim:
        case Victim.BUILDER:
            return process.cmdline()[1:3] == ["-m", "builder"]
        case Victim.VALKEY:
            return process.name() == "valkey-server"
        case Victim.POSTGRES:
            parent = process.parent()
            return process.name() == "postgres" and parent is not None and parent.name() != "postgres"
        case _:
            raise AssertionError(victim)


@asynccontextmanager
async def storm(root: Path, git: GitServer, plan: Plan) -> AsyncIterator[Storm]:
    """What there is once ``plan`` is done and every deployment has ended. Its server runs in the block."""
    for directory in (root, root / "tmp"):
        directory.mkdir(exist_ok=True)
        directory.chmod(0o711)  # another uid passes through here where the builds of root run
    async with AsyncExitStack() as stack:
        sessions = [
            await stack.enter_async_context(
                aiohttp.ClientSession(
                    cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=aiohttp.ClientTimeout(total=15)
                )
            )
            for _ in range(_USERS + 1)
        ]
        self = Storm(root, git, sessions[0], marker=f"storm-{secrets.token_hex(6)}")
        watching = await stack.enter_async_context(asyncio.TaskGroup())
        keeping = watching.create_task(self.keep_server(), name="keep the server")
        try:
            await self.up()
            await self.populate(sessions[1:])
            async with asyncio.TaskGroup() as both:
                both.create_task(self.deploy_all(list(plan.deploys)))
                both.create_task(self.kill_all(list(plan.kills)))
            await self.up()
            for deployment_id in self.deployments:
                await self.ended(deployment_id)
            yield self
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})
            await self.stop_server()
