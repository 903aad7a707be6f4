"""Manifests in memory: read once for many visitors, and for ever true."""

from collections import OrderedDict

from scalemesh import keys
from scalemesh.artifacts.store import ArtifactStore
from scalemesh.model import DeploymentID, SiteRoute
from scalemesh.sites.manifest import Manifest, parse_manifest
from scalemesh.sites.once import Once

MAX_MANIFEST_BYTES = 16 * 1024 * 1024
"""Of JSON. A site of 20,000 files, the most a build may publish, with two encodings each, has 8 MB."""

MAX_MANIFESTS = 10_000
"""Some 20 MB where each is of one file: what a manifest costs beside its JSON, the next bound misses."""

MAX_CACHED_BYTES = 16 * 1024 * 1024
"""Of JSON, which is up to 2.2 times that in objects (measured): eight hundred sites of fifty files."""

RULE_BYTES = 1_000
"""Of what is made of a rule beside the objects of its JSON: an entry of an index, or a pattern (measured)."""


class ManifestCache:
    """The manifests asked for last, of at most ``max_count`` and ``max_bytes`` (of JSON) together.

    Keyed by deployment, which never changes, so nothing is ever invalidated. Many who miss the same one
    wait for one read.
    """

    def __init__(
        self, store: ArtifactStore, *, max_count: int = MAX_MANIFESTS, max_bytes: int = MAX_CACHED_BYTES
    ) -> None:
        self._store = store
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[DeploymentID, tuple[Manifest, int]] = OrderedDict()
        self._reads: Once[DeploymentID, Manifest] = Once()

    def peek(self, route: SiteRoute) -> Manifest | None:
        """The manifest, if it is here."""
        kept = self._kept.get(route.deployment_id)
        if kept is None:
            return None
        self._kept.move_to_end(route.deployment_id)
        return kept[0]

    async def get(self, route: SiteRoute) -> Manifest:
        """The manifest of ``route``'s deployment.

        Raises ``ArtifactNotFound``, ``ArtifactTooLarge``, ``StoreUnavailable`` or ``ManifestDamaged``, to
        everybody who waited; none of them is remembered.
        """
        if (kept := self.peek(route)) is not None:
            return kept
        return await self._reads.get(route.deployment_id, lambda: self._read(route))

    async def _read(self, route: SiteRoute) -> Manifest:
        if (kept := self.peek(route)) is not None:
            # Somebody who waited longer has read it already.
            return kept
        key = keys.manifest(route.project_id, route.deployment_id, route.attempt)
        data = await self._store.read(key, max_bytes=MAX_MANIFEST_BYTES)
        manifest = parse_manifest(data)
        self._keep(route.deployment_id, manifest, len(data))
        return manifest

    def _keep(self, deployment_id: DeploymentID, manifest: Manifest, size: int) -> None:
        size += RULE_BYTES * manifest.rule_count
        self._kept[deployment_id] = manifest, size
        self._bytes += size
        while len(self._kept) > self._max_count or self._bytes > self._max_bytes:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._bytes -= dropped
