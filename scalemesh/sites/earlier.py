"""Files of a project's earlier deployments, for visitors whose page is from before the last deploy."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from scalemesh import keys
from scalemesh.artifacts.store import ArtifactNotFound, ArtifactStore, ArtifactTooLarge, StoreUnavailable
from scalemesh.model import BuildID, DeploymentID, SiteRoute
from scalemesh.sites.cache import MAX_MANIFEST_BYTES
from scalemesh.sites.manifest import Manifest, ManifestDamaged, parse_manifest
from scalemesh.sites.once import Once
from scalemesh.sites.plan import EarlierFile
from scalemesh.sites.resolve import looks_like_asset
from scalemesh.sites.routes import RouteUnavailable

log = logging.getLogger(__name__)

EARLIER_DEPLOYMENTS = 5
"""Whoever deploys more often than that within the life of a page has to expect reloads."""

EARLIER_AGE = timedelta(days=7)
"""Since a deployment was replaced: a page may stay open over a week. What was removed is gone after that."""

MAX_FILES_PER_SITE = 10_000
"""Of its earlier deployments together, the latest first. Five builds of a large application have fewer."""

MAX_FILES = 50_000
"""Of all sites together: some 25 MB."""

TTL_S = 10.0
"""How long a list of deployments is believed: a stream of misses costs one query in that time."""

FetchEarlier = Callable[[SiteRoute], Awaitable[Sequence[BuildID]]]
"""The project's other deployments that were live lately, the latest first. Raises ``RouteUnavailable``."""


@dataclass(frozen=True, slots=True)
class _Known:
    """The assets of ``deployments``, by path, that the live one does not have; believed until ``until``."""

    deployments: Sequence[BuildID]
    files: Mapping[str, EarlierFile]
    until: float


class EarlierFiles:
    """Looks for missing assets in the deployments that were live before.

    What is remembered is what they have; so that they have nothing is known without asking them again. Each
    miss beyond the first of a site costs a look into a dict.
    """

    found: int = 0
    """Answers with an earlier deployment's file since the start, for a metric."""

    def __init__(self, fetch: FetchEarlier, store: ArtifactStore, *, ttl_s: float = TTL_S) -> None:
        self._fetch = fetch
        self._store = store
        self._ttl_s = ttl_s
        self._known: OrderedDict[DeploymentID, _Known] = OrderedDict()
        self._files = 0
        self._looks: Once[DeploymentID, _Known] = Once()

    async def find(self, route: SiteRoute, manifest: Manifest, path: str) -> EarlierFile | None:
        """What the latest deployment before ``route``'s that had ``path`` had there. ``manifest`` is its own.

        A deployment's own address is that deployment alone: None. Raises ``RouteUnavailable`` or
        ``StoreUnavailable`` where it can't be told and never could.
        """
        if route.preview:
            return None
        known = self._known.get(route.deployment_id)
        if known is None or known.until <= _now():
            known = await self._looks.get(route.deployment_id, lambda: self._look(route, manifest, known))
        else:
            self._known.move_to_end(route.deployment_id)
        file = known.files.get(path)
        self.found += file is not None
        return file

    async def _look(self, route: SiteRoute, manifest: Manifest, before: _Known | None) -> _Known:
        try:
            deployments = await self._fetch(route)
            if before is not None and deployments == before.deployments:
                files = before.files
            else:
                files = await self._read_files(route, manifest, deployments)
        except (RouteUnavailable, StoreUnavailable) as error:
            if before is None:
                raise
            log.warning("earlier deployments of %s are those known last: %s", route.project_id, error)
            deployments, files = before.deployments, before.files
        known = _Known(deployments, files, _now() + self._ttl_s)
        self._keep(route.deployment_id, known)
        return known

    async def _read_files(
        self, route: SiteRoute, manifest: Manifest, deployments: Sequence[BuildID]
    ) -> dict[str, EarlierFile]:
        files: dict[str, EarlierFile] = {}
        for build in deployments[:EARLIER_DEPLOYMENTS]:
            key = keys.manifest(route.project_id, build.deployment_id, build.attempt)
            try:
                # Past the cache of manifests: these would push out what visitors are asking for.
                earlier = parse_manifest(await self._store.read(key, max_bytes=MAX_MANIFEST_BYTES))
            except (ArtifactNotFound, ArtifactTooLarge, ManifestDamaged) as error:
                log.warning("an earlier deployment has no manifest: %s", error)
                continue
            for path, entry in earlier.files.items():
                if len(files) == MAX_FILES_PER_SITE:
                    return files
                if looks_like_asset(path) and path not in manifest.files:
                    files.setdefault(path, EarlierFile(entry, earlier.created_at))
        return files

    def _keep(self, deployment_id: DeploymentID, known: _Known) -> None:
        if replaced := self._known.pop(deployment_id, None):
            self._files -= _weight(replaced)
        self._known[deployment_id] = known
        self._files += _weight(known)
        while self._files > MAX_FILES:
            self._files -= _weight(self._known.popitem(last=False)[1])


def _weight(known: _Known) -> int:
    """In files. A site without any costs about as much as two of them."""
    return len(known.files) + 2


def _now() -> float:
    return asyncio.get_running_loop().time()
