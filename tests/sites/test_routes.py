"""Where hosts lead, remembered for a while."""

import asyncio

import pytest

from scalemesh.logs.events import SessionEnded, SiteChanged
from scalemesh.model import DeploymentID, ProjectID, SiteRoute, UserID
from scalemesh.sites import RouteUnavailable, SiteHost, routes
from scalemesh.sites.counters import Counters
from scalemesh.sites.routes import RouteCache

HOST = SiteHost("a", None)
OTHER = SiteHost("b", None)
NOBODY = SiteHost("nobody", None)


def route(project: str, deployment: str) -> SiteRoute:
    return SiteRoute(ProjectID(project), DeploymentID(deployment), 1, preview=False)


class Database:
    """What the database would say; slow while ``gate`` is closed, away while there is an ``error``."""

    def __init__(self) -> None:
        self.routes = {HOST: route("p1", "d1"), OTHER: route("p2", "d1")}
        self.asked: list[SiteHost] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self, host: SiteHost) -> SiteRoute | None:
        self.asked.append(host)
        found = self.routes.get(host)
        await self.gate.wait()
        if self.error:
            raise self.error
        return found


@pytest.fixture(autouse=True)
def long_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a machine that has no time for a second or five."""
    monkeypatch.setattr(routes, "TTL_S", 100.0)
    monkeypatch.setattr(routes, "HEARD_TTL_S", 1000.0)


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def cache(database: Database) -> RouteCache:
    return RouteCache(database.fetch, Counters())


async def test_a_host_is_asked_for_once_however_many_visit(cache: RouteCache, database: Database) -> None:
    database.gate.clear()
    visits = [asyncio.create_task(cache.get(HOST)) for _ in range(20)]
    await asyncio.sleep(0)
    visits[0].cancel()  # the one that asks leaves; another one asks in its place
    database.gate.set()
    leads = await asyncio.gather(*visits[1:])
    assert {lead.route for lead in leads} == {route("p1", "d1")}
    assert database.asked == [HOST, HOST]
    assert (await cache.get(HOST)) is leads[0]
    assert database.asked == [HOST, HOST]


async def test_a_host_without_a_site_is_remembered_too(cache: RouteCache, database: Database) -> None:
    assert (await cache.get(NOBODY)).route is None
    assert (await cache.get(NOBODY)).route is None
    assert database.asked == [NOBODY]


async def test_what_goes_live_is_seen_at_once(cache: RouteCache, database: Database) -> None:
    before = await cache.get(HOST)
    other = await cache.get(OTHER)
    database.routes[HOST] = route("p1", "d2")
    cache.handle(SiteChanged(ProjectID("p1")))
    assert before.until == 0
    assert (await cache.get(HOST)).route == route("p1", "d2")
    assert before.until == 0, "what was prepared for the old deployment must stay so"
    assert await cache.get(OTHER) is other


async def test_a_first_deployment_is_seen_at_once(cache: RouteCache, database: Database) -> None:
    await cache.get(NOBODY)
    database.routes[NOBODY] = route("p3", "d1")
    cache.handle(SiteChanged(ProjectID("p3")))
    assert (await cache.get(NOBODY)).route == route("p3", "d1")


async def test_what_goes_live_while_the_database_is_asked_is_seen(
    cache: RouteCache, database: Database
) -> None:
    database.gate.clear()
    visit = asyncio.create_task(cache.get(HOST))
    await asyncio.sleep(0)
    database.routes[HOST] = route("p1", "d2")
    cache.handle(SiteChanged(ProjectID("p1")))
    database.gate.set()
    assert (await visit).route == route("p1", "d2")
    assert (await cache.get(HOST)).route == route("p1", "d2")


async def test_changes_without_end_do_not_hold_up_a_visit(database: Database) -> None:
    async def fetch(host: SiteHost) -> SiteRoute | None:
        busy.handle(SiteChanged(ProjectID("p9")))
        return await database.fetch(host)

    busy = RouteCache(fetch, Counters())
    lead = await busy.get(HOST)
    assert lead.route == route("p1", "d1")
    assert lead.until == 0
    assert len(database.asked) == routes.MAX_ASKS


async def test_another_event_changes_nothing(cache: RouteCache, database: Database) -> None:
    await cache.get(HOST)
    cache.handle(SessionEnded(UserID("ada"), None))
    await cache.get(HOST)
    assert database.asked == [HOST]


async def test_whatever_may_have_been_missed_is_asked_again(cache: RouteCache, database: Database) -> None:
    await cache.get(HOST)
    cache.heard()
    await cache.get(HOST)
    assert database.asked == [HOST, HOST]


async def test_a_route_is_believed_longer_while_changes_are_heard(
    cache: RouteCache, database: Database
) -> None:
    now = asyncio.get_running_loop().time
    cache.heard()
    lead = await cache.get(HOST)
    assert lead.until > now() + routes.TTL_S
    cache.lost()
    assert lead.until <= now() + routes.TTL_S
    database.routes[OTHER] = route("p2", "d2")
    assert (await cache.get(OTHER)).until <= now() + routes.TTL_S


async def test_the_same_route_renews_the_lead_and_so_all_that_is_prepared_for_it(
    cache: RouteCache, database: Database
) -> None:
    lead = await cache.get(HOST)
    lead.until = 0
    assert await cache.get(HOST) is lead
    assert lead.until > asyncio.get_running_loop().time()
    assert database.asked == [HOST, HOST]


async def test_while_one_asks_again_the_others_are_not_held_up(cache: RouteCache, database: Database) -> None:
    lead = await cache.get(HOST)
    lead.until = asyncio.get_running_loop().time() - 0.01
    database.gate.clear()
    asking = asyncio.create_task(cache.get(HOST))
    await asyncio.sleep(0)
    assert await cache.get(HOST) is lead
    assert not asking.done()
    database.gate.set()
    await asking


async def test_without_the_database_known_sites_go_on(
    cache: RouteCache, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    lead = await cache.get(HOST)
    database.error = RouteUnavailable("connection refused")
    for _ in range(3):
        cache.heard()
        assert await cache.get(HOST) is lead
        assert lead.until > asyncio.get_running_loop().time()
    assert caplog.text.count("connection refused") == 1
    with pytest.raises(RouteUnavailable):
        await cache.get(OTHER)
    database.error = None
    database.routes[HOST] = route("p1", "d2")
    cache.heard()
    assert (await cache.get(HOST)).route == route("p1", "d2")


async def test_known_sites_do_not_wait_for_a_database_that_hangs(
    cache: RouteCache, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "PATIENCE_S", 0.01)
    lead = await cache.get(HOST)
    database.gate.clear()
    for _ in range(3):
        cache.heard()
        assert await cache.get(HOST) is lead
        assert lead.until > asyncio.get_running_loop().time()
    assert database.asked == [HOST, HOST], "the question is still open, and one is enough"
    await cache.aclose()


async def test_a_host_without_a_site_is_no_answer_while_the_database_is_away(
    cache: RouteCache, database: Database
) -> None:
    await cache.get(NOBODY)
    cache.heard()
    database.error = RouteUnavailable("connection refused")
    with pytest.raises(RouteUnavailable):
        await cache.get(NOBODY)


async def test_only_so_many_are_remembered(database: Database) -> None:
    cache = RouteCache(database.fetch, Counters(), max_count=2)
    first = await cache.get(HOST)
    await cache.get(OTHER)
    await cache.get(NOBODY)
    assert first.until == 0, "nobody would tell it of changes any more"
    database.asked.clear()
    await cache.get(OTHER)
    await cache.get(NOBODY)
    assert database.asked == []
    await cache.get(HOST)
    assert database.asked == [HOST]


async def test_a_database_that_comes_and_goes_is_spoken_of_once_in_a_while(
    cache: RouteCache, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    lead = await cache.get(HOST)
    for error in (RouteUnavailable("slow"), None) * 3:
        database.error = error
        lead.until = 0
        assert (await cache.get(HOST)).route == route("p1", "d1")
    assert caplog.messages == ["serving by the routes known last: slow"]
