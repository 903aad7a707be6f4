"""A page from before the last deploy finds its files, and nobody is shown a page in place of a script."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from scalemesh.artifacts import DirectoryStore
from scalemesh.model import BuildID, DeploymentID, SiteRoute
from scalemesh.sites import RouteUnavailable, SiteHost, Sites
from scalemesh.sites.earlier import EARLIER_DEPLOYMENTS, EarlierFiles
from tests.sites.front import Routes, get, serve
from tests.sites.site import File, Files, compressed, etag, manifest, publish
from tests.sites.watched import WatchedStore, until

REVALIDATE = "public, max-age=0, must-revalidate"
NEW: Files = {"/index.html": b"new", "/assets/new-1.js": b"new code", "/logo.png": b"new logo"}
OLD: Files = {
    "/index.html": b"old",
    "/about.html": b"old page",
    "/assets/old-1.js": compressed(b"old code", fingerprinted=True),
    "/assets/both.js": b"old",
    "/old.png": b"old picture",
    "/logo.png": b"old logo",
}
OLDER: Files = {"/assets/both.js": b"older", "/assets/older-1.js": File(b"older code", True)}


class Deployments:
    """What the database would say: the deployments before the live one."""

    def __init__(self, *ids: str) -> None:
        self.ids = ids
        self.asked = 0
        self.error: Exception | None = None

    async def fetch(self, _route: SiteRoute) -> Sequence[BuildID]:
        self.asked += 1
        if self.error:
            raise self.error
        return [BuildID(DeploymentID(deployment), 1) for deployment in self.ids]


@pytest.fixture
def store(tmp_path: Path) -> WatchedStore:
    return WatchedStore(DirectoryStore(tmp_path))


@pytest.fixture
async def live(store: WatchedStore) -> SiteRoute:
    await publish(store, OLDER, deployment="d1")
    await publish(store, OLD, deployment="d2")
    return await publish(store, NEW, deployment="d3")


@pytest.fixture
def deployments() -> Deployments:
    return Deployments("d2", "d1")


@pytest.fixture
def sites(store: WatchedStore, live: SiteRoute, deployments: Deployments) -> Sites:
    preview = replace(live, preview=True)
    routes = Routes({SiteHost("a", None): live, SiteHost("a", "d3"): preview})
    return Sites(routes.fetch, store, fetch_earlier=deployments.fetch)


@pytest.fixture
async def port(sites: Sites) -> AsyncIterator[int]:
    async with serve(sites) as port:
        yield port


@pytest.mark.parametrize(
    ("path", "status", "body", "caching"),
    [
        ("/assets/old-1.js", 200, b"old code", "public, max-age=31536000, immutable"),
        ("/assets/older-1.js", 200, b"older code", "public, max-age=31536000, immutable"),
        ("/old.png", 200, b"old picture", REVALIDATE),
        # The latest that had it; what the live one has is the live one's.
        ("/assets/both.js", 200, b"old", REVALIDATE),
        ("/logo.png", 200, b"new logo", REVALIDATE),
        # Pages are those of the live deployment alone, and nothing else is shown in an asset's place.
        ("/about.html", 404, None, REVALIDATE),
        ("/about", 404, None, REVALIDATE),
        ("/assets/never.js", 404, None, REVALIDATE),
    ],
)
async def test_a_missing_asset_is_looked_for_in_earlier_deployments(
    port: int, path: str, status: int, body: bytes | None, caching: str
) -> None:
    answer = await get(port, path)
    assert (answer.status, answer.headers["Cache-Control"]) == (status, caching)
    assert answer.body == body or (body is None and b"There is no such page" in answer.body)


async def test_an_earlier_file_is_a_file_in_every_way(port: int, sites: Sites) -> None:
    path = "/assets/old-1.js"
    assert (await get(port, path, accept_encoding="br")).body == b"br:old code"
    assert (await get(port, path, if_none_match=etag(b"old code"))).status == 304
    assert (await get(port, path, range="bytes=0-2")).body == b"old"
    assert (await get(port, path, method="HEAD")).headers["Content-Length"] == "8"
    assert sites.earlier.found == 4


async def test_a_preview_is_its_own_deployment_alone(port: int, deployments: Deployments) -> None:
    assert (await get(port, "/assets/old-1.js", host="d3--a.localhost")).status == 404
    assert deployments.asked == 0


@pytest.mark.parametrize("spa", [True, False])
async def test_a_rule_for_everything_and_a_single_page_app_leave_old_files_to_their_pages(
    store: WatchedStore, deployments: Deployments, spa: bool
) -> None:
    await publish(store, OLD, deployment="d2")
    route = await publish(
        store, NEW, deployment="d3", spa=spa, redirects=[] if spa else ["/* /index.html 200"]
    )
    deployments.ids = ("d2",)
    sites = Sites(Routes({SiteHost("a", None): route}).fetch, store, fetch_earlier=deployments.fetch)
    async with serve(sites) as port:
        assert (await get(port, "/users/7")).body == b"new"
        assert (await get(port, "/assets/old-1.js")).body == b"old code"
        never = await get(port, "/assets/never.js")
        assert never.status == (404 if spa else 200)  # the rule says so


async def test_many_misses_cost_one_look(
    store: WatchedStore, live: SiteRoute, deployments: Deployments
) -> None:
    earlier = EarlierFiles(deployments.fetch, store)
    paths = ["/assets/old-1.js", "/assets/never.js"] * 250
    store.gate.clear()
    finding = [asyncio.ensure_future(earlier.find(live, manifest(NEW), path)) for path in paths]
    await until(lambda: len(store.reads) == 1)
    store.gate.set()
    found = await asyncio.gather(*finding)
    assert [file is not None for file in found] == [True, False] * 250
    assert (deployments.asked, len(store.reads), earlier.found) == (1, 2, 250)


async def test_a_list_that_is_believed_no_longer_is_asked_for_and_only_what_changed_is_read(
    store: WatchedStore, live: SiteRoute, deployments: Deployments
) -> None:
    earlier = EarlierFiles(deployments.fetch, store, ttl_s=0)
    for _ in range(3):
        assert await earlier.find(live, manifest(NEW), "/old.png")
    assert (deployments.asked, len(store.reads)) == (3, 2)
    deployments.ids = ("d1",)
    assert await earlier.find(live, manifest(NEW), "/old.png") is None
    assert (deployments.asked, len(store.reads)) == (4, 3)


async def test_no_more_than_the_latest_few_are_read(store: WatchedStore, deployments: Deployments) -> None:
    for number in range(EARLIER_DEPLOYMENTS + 1):
        await publish(store, {f"/{number}.js": b"x"}, deployment=f"e{number}")
    route = await publish(store, NEW, deployment="d9")
    deployments.ids = tuple(f"e{number}" for number in range(EARLIER_DEPLOYMENTS + 1))
    earlier = EarlierFiles(deployments.fetch, store)
    assert await earlier.find(route, manifest(NEW), f"/{EARLIER_DEPLOYMENTS - 1}.js")
    assert await earlier.find(route, manifest(NEW), f"/{EARLIER_DEPLOYMENTS}.js") is None
    assert len(store.reads) == EARLIER_DEPLOYMENTS


async def test_what_is_known_is_served_while_the_database_is_away(
    store: WatchedStore, live: SiteRoute, deployments: Deployments, caplog: pytest.LogCaptureFixture
) -> None:
    earlier = EarlierFiles(deployments.fetch, store, ttl_s=0)
    deployments.error = RouteUnavailable("connection refused")
    with pytest.raises(RouteUnavailable):
        await earlier.find(live, manifest(NEW), "/old.png")
    deployments.error = None
    assert await earlier.find(live, manifest(NEW), "/old.png")
    deployments.error = RouteUnavailable("connection refused")
    with caplog.at_level(logging.WARNING):
        assert await earlier.find(live, manifest(NEW), "/old.png")
    assert "those known last" in caplog.text


async def test_a_miss_that_can_not_be_told_is_503(port: int, deployments: Deployments) -> None:
    deployments.error = RouteUnavailable("connection refused")
    answer = await get(port, "/assets/old-1.js")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert (await get(port, "/nothing")).status == 404
    deployments.error = None
    assert (await get(port, "/assets/old-1.js")).status == 200


async def test_an_earlier_deployment_without_a_manifest_is_passed_over(
    store: WatchedStore, live: SiteRoute, deployments: Deployments, caplog: pytest.LogCaptureFixture
) -> None:
    deployments.ids = ("gone", "d1")
    earlier = EarlierFiles(deployments.fetch, store)
    with caplog.at_level(logging.WARNING):
        assert await earlier.find(live, manifest(NEW), "/assets/older-1.js")
    assert "gone" in caplog.text
