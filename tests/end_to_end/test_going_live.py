"""Visitors while a site is deployed again and again: all of the old or all of the new, and never a hole."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from scalemesh.artifacts import DirectoryStore
from scalemesh.keys import new_id
from scalemesh.sites import EARLIER_DEPLOYMENTS
from tests.parts.git import GitServer
from tests.parts.server import Client, Server
from tests.sites.site import File, publish

DEPLOYS = 100
LOOPING_VISITORS = 3
PAGES_BEHIND = 3
"""How many deploys a reader's page is behind when it asks for its script."""

_PAGE = re.compile(r'(\d+)<script src="(/assets/app-[0-9a-f]{16}\.js)">')


def make_site(version: int) -> tuple[str, str, str]:
    """The page, the path of its script, and the script, each of that version."""
    script = f"version {version}"
    name = f"/assets/app-{hashlib.sha256(script.encode()).hexdigest()[:16]}.js"
    return f'{version}<script src="{name}">', name, script


class Deploys:
    """Makes version after version live. Only the first is built; the rest are put where a builder puts them
    and then promoted through the API, which is the same one row update at the end of a build.
    """

    def __init__(self, client: Client, project: dict[str, str], built: str, server: Server, dsn: str) -> None:
        self._client = client
        self._project = project
        self._built = built
        self._store = DirectoryStore(server.data_dir / "artifacts")
        self._dsn = dsn
        self.live = 0
        self._read: list[int] = []
        self._changed = asyncio.Condition()

    async def deploy_all(self) -> None:
        connection = await asyncpg.connect(self._dsn)
        try:
            for version in range(1, DEPLOYS + 1):
                async with self._changed:
                    await self._changed.wait_for(
                        lambda version=version: all(  # type: ignore[misc]
                            version <= read + EARLIER_DEPLOYMENTS for read in self._read
                        )
                    )
                await self._deploy(connection, version)
        finally:
            await connection.close()

    async def until_live(self, version: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.live >= version)

    @asynccontextmanager
    async def reading(self, version: int) -> AsyncIterator[None]:
        """Meanwhile no more go live than that what belongs to ``version`` is still looked for."""
        self._read.append(version)
        try:
            yield
        finally:
            self._read.remove(version)
            async with self._changed:
                self._changed.notify_all()

    async def _deploy(self, connection: asyncpg.Connection, version: int) -> None:
        deployment_id = new_id()
        page, name, script = make_site(version)
        await publish(
            self._store,
            {"/index.html": page.encode(), name: File(script.encode(), True)},
            project=self._project["projectID"],
            deployment=deployment_id,
        )
        # All that the first one's row says, but for its name: whatever columns there are.
        await connection.execute(
            """
            INSERT INTO deployments
            SELECT (jsonb_populate_record(built, jsonb_build_object('id', $2::text, 'number', $3::integer))).*
            FROM deployments AS built
            WHERE id = $1
            """,
            self._built,
            deployment_id,
            version + 1,
        )
        answer = await self._client.post(f"/api/deployments/{deployment_id}/promote")
        assert answer.status == 200, answer.text
        async with self._changed:
            self.live = version
            self._changed.notify_all()

    @asynccontextmanager
    async def visitor(self, server: Server) -> AsyncIterator["Visitor"]:
        async with server.visitor() as client:
            yield Visitor(client, self._project["url"])


class Visitor:
    def __init__(self, client: Client, url: str) -> None:
        self._client = client
        self._url = url

    async def open_page(self) -> tuple[int, str]:
        """The version, and the script that the page asks for."""
        answer = await self._client.site(self._url)
        assert answer.status == 200
        found = _PAGE.fullmatch(answer.text)
        assert found is not None, answer.text
        return int(found[1]), found[2]

    async def load_script(self, version: int, path: str) -> None:
        answer = await self._client.site(self._url, path)
        assert (answer.status, answer.text) == (200, f"version {version}")
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


async def test_visitors_of_a_hundred_deploys_see_no_mixed_pair_and_no_404(
    user: Client, git_server: GitServer, server: Server, postgres_dsn: str
) -> None:
    page, name, script = make_site(0)
    url = await git_server.make_repo("hundred", {"index.html": page, name[1:]: script})
    project = await user.project(url)
    built = await user.deploy(project["projectID"])
    assert (await user.ended(built))["status"] == "ready"
    deploys = Deploys(user, project, built, server, postgres_dsn)
    versions: set[int] = set()

    async def loop() -> None:
        async with deploys.visitor(server) as visitor:
            while deploys.live < DEPLOYS:
                version, path = await visitor.open_page()
                async with deploys.reading(version):
                    await visitor.load_script(version, path)
                versions.add(version)

    async def read() -> None:
        """Whoever looks at a page for a while before it asks for its script."""
        async with deploys.visitor(server) as visitor:
            while deploys.live < DEPLOYS:
                version, path = await visitor.open_page()
                async with deploys.reading(version):
                    await deploys.until_live(min(version + PAGES_BEHIND, DEPLOYS))
                    await visitor.load_script(version, path)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(deploys.deploy_all())
        tasks.create_task(read())
        for _ in range(LOOPING_VISITORS):
            tasks.create_task(loop())
    assert len(versions) > 10
