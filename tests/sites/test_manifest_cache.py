import asyncio
from pathlib import Path

import pytest

from scalemesh.artifacts import DirectoryStore
from scalemesh.artifacts.store import ArtifactNotFound
from scalemesh.model import DeploymentID, ProjectID, SiteRoute
from scalemesh.sites.cache import ManifestCache
from tests.sites.site import publish, sha256
from tests.sites.watched import WatchedStore, until


@pytest.fixture
def store(tmp_path: Path) -> WatchedStore:
    return WatchedStore(DirectoryStore(tmp_path))


async def publish_many(store: WatchedStore, count: int) -> list[SiteRoute]:
    return [await publish(store, {"/index.html": b"x"}, deployment=f"d{number}") for number in range(count)]


async def test_a_manifest_is_read_once(store: WatchedStore) -> None:
    (route,) = await publish_many(store, 1)
    cache = ManifestCache(store)
    assert await cache.get(route) is await cache.get(route)
    assert len(store.reads) == 1


async def test_many_who_miss_wait_for_one_read(store: WatchedStore) -> None:
    (route,) = await publish_many(store, 1)
    cache = ManifestCache(store)
    store.gate.clear()
    visitors = [asyncio.ensure_future(cache.get(route)) for _ in range(500)]
    await until(lambda: len(store.reads) == 1)
    store.gate.set()
    assert len({id(manifest) for manifest in await asyncio.gather(*visitors)}) == 1
    assert len(store.reads) == 1


async def test_a_visitor_who_leaves_takes_nothing_from_the_others(store: WatchedStore) -> None:
    (route,) = await publish_many(store, 1)
    cache = ManifestCache(store)
    store.gate.clear()
    first, second, third = (asyncio.ensure_future(cache.get(route)) for _ in range(3))
    await until(lambda: len(store.reads) == 1)
    first.cancel()
    second.cancel()
    await until(lambda: len(store.reads) == 2)
    store.gate.set()
    assert await third is await cache.get(route)
    assert first.cancelled()
    assert second.cancelled()


async def test_a_failure_reaches_all_who_wait_and_is_forgotten(store: WatchedStore) -> None:
    missing = SiteRoute(ProjectID("p1"), DeploymentID("d0"), 1, preview=False)
    cache = ManifestCache(store)
    store.gate.clear()
    visitors = [asyncio.ensure_future(cache.get(missing)) for _ in range(10)]
    await until(lambda: len(store.reads) == 1)
    store.gate.set()
    outcomes = await asyncio.gather(*visitors, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ArtifactNotFound}
    assert len(store.reads) == 1
    assert await cache.get(*await publish_many(store, 1))


async def test_those_not_asked_for_longest_make_room(store: WatchedStore) -> None:
    first, second, third = await publish_many(store, 3)
    cache = ManifestCache(store, max_count=2)
    for route in (first, second, first, third, first):
        await cache.get(route)
    assert len(store.reads) == 3
    await cache.get(second)
    assert len(store.reads) == 4


async def test_it_is_the_manifest_of_the_attempt_that_the_route_names(store: WatchedStore) -> None:
    await publish(store, {"/index.html": b"of an attempt that came too late"})
    route = await publish(store, {"/index.html": b"what was built"}, attempt=2)
    manifest = await ManifestCache(store).get(route)
    assert manifest.files["/index.html"].sha256 == sha256(b"what was built")


async def test_bytes_are_bounded_too(store: WatchedStore) -> None:
    routes = await publish_many(store, 3)
    manifest = Path(store.url, "__output/p1/d0/manifest.json")
    cache = ManifestCache(store, max_bytes=2 * manifest.stat().st_size)
    for route in (*routes, routes[0]):
        await cache.get(route)
    assert len(store.reads) == 4
    await cache.get(routes[2])
    assert len(store.reads) == 4


async def test_rules_weigh_more_than_their_json(store: WatchedStore) -> None:
    rules = [f"/old/{number} /new/{number}" for number in range(100)]
    route = await publish(store, {"/index.html": b"x"}, redirects=rules)
    manifest = Path(store.url, "__output/p1/d1/manifest.json")
    cache = ManifestCache(store, max_bytes=2 * manifest.stat().st_size)
    await cache.get(route)
    await cache.get(route)
    assert len(store.reads) == 2


async def test_a_manifest_larger_than_the_cache_is_served_and_not_kept(store: WatchedStore) -> None:
    (route,) = await publish_many(store, 1)
    cache = ManifestCache(store, max_bytes=1)
    assert (await cache.get(route)).files
    assert (await cache.get(route)).files
    assert len(store.reads) == 2
