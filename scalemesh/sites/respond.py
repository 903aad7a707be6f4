"""Does what a plan says: finds the deployment, sends the bytes, and says so when it can't."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from scalemesh.artifacts.store import (
    CHUNK_BYTES,
    ArtifactNotFound,
    ArtifactReader,
    ArtifactStore,
    ArtifactTooLarge,
    StoreUnavailable,
)
from scalemesh.model import BuildID, ProjectID, SiteRoute
from scalemesh.sites.blobs import MAX_BLOB_BYTES, BlobCache, BlobID
from scalemesh.sites.cache import ManifestCache
from scalemesh.sites.counters import Counters
from scalemesh.sites.disk import DiskCache
from scalemesh.sites.earlier import EarlierFiles, FetchEarlier
from scalemesh.sites.heads import HeadKey, key_of
from scalemesh.sites.hosts import SiteHost
from scalemesh.sites.hot import PREPARED, HotAnswers, write_head
from scalemesh.sites.manifest import BlobDamaged, ManifestDamaged
from scalemesh.sites.pages import BAD_HOST, NO_SITE, UNAVAILABLE, UNKNOWN_HOST, Page, render
from scalemesh.sites.plan import Blob, Plan, plan_page, plan_response
from scalemesh.sites.request import SiteRequest
from scalemesh.sites.routes import FetchRoute, Lead, RouteCache, RouteUnavailable
from scalemesh.sites.sendfile import send_file

log = logging.getLogger(__name__)

RETRY_AFTER_S = 2
"""A restart of the database or the store takes about that long."""

PARTIAL = 206

STALL_TIMEOUT_S = 60
"""A client that takes nothing for so long is gone; its file or S3 connection is somebody else's turn."""


DEFAULT_MEMORY_BYTES = 64 * 1024 * 1024

_AWAY = (RouteUnavailable, StoreUnavailable)
_DAMAGED = (ArtifactNotFound, ArtifactTooLarge, ManifestDamaged, BlobDamaged)


async def _no_earlier(_route: SiteRoute) -> Sequence[BuildID]:
    return ()


class Sites:
    """Answers requests for sites.

    ``fetch_route`` gives the deployment behind a host, None where there is no such site or nothing of it is
    live, and raises ``RouteUnavailable`` where it can't tell. Assets that it does not have are looked for in
    what ``fetch_earlier`` gives. ``memory_bytes`` of small files are kept, and all sizes on ``disk``, where
    the store is not a disk itself. ``routes`` is to be told of changes, and closed at the end; ``hot`` has
    the answers that need no request object.
    """

    def __init__(
        self,
        fetch_route: FetchRoute,
        store: ArtifactStore,
        *,
        fetch_earlier: FetchEarlier = _no_earlier,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        disk: DiskCache | None = None,
    ) -> None:
        self._counters = Counters()
        self.routes = RouteCache(fetch_route, self._counters)
        self.earlier = EarlierFiles(fetch_earlier, store)
        self._store = store
        self._manifests = ManifestCache(store)
        self._blobs = BlobCache(store, self._counters, max_bytes=memory_bytes, disk=disk)
        self.hot = HotAnswers(self._blobs, self._counters)

    @property
    def counters(self) -> Counters:
        self.hot.settle()
        return self._counters

    async def respond(self, request: web.BaseRequest, host: SiteHost) -> web.StreamResponse:
        """The answer, sent already where it is long. Raises nothing that is the store's or the client's."""
        try:
            lead = await self.routes.get(host)
            return await self._answer(request, lead)
        except (*_AWAY, *_DAMAGED) as error:
            return _whole(*_unavailable(host, error))

    def begin(self, key: HeadKey, host: SiteHost) -> "First | None":
        """What answers ``key``, where memory says it and it needs no more than a blob that fits there."""
        lead = self.routes.peek(host)
        if lead is None or lead.route is None:
            return None
        manifest = self._manifests.peek(lead.route)
        if manifest is None:
            return None
        method, target, _, *asked = key
        plan = plan_response(manifest, SiteRequest.asking(method, target, *asked), preview=lead.route.preview)
        if plan.missing_asset is not None or plan.status not in PREPARED:
            return None
        if isinstance(plan.body, Blob) and plan.body.length > MAX_BLOB_BYTES:
            return None
        self._counters.routes_known += 1
        return First(key, host, lead, lead.route.project_id, plan)

    async def finish(self, first: "First") -> tuple[bytes, bytes]:
        """The head, but for its date, and the body. Raises nothing that is the store's."""
        plan, body = first.plan, first.plan.body
        if isinstance(body, bytes):
            return self.hot.prepare(first.key, plan, body, first.lead), body
        blob_id = first.project_id, body.sha256
        try:
            data = await self._blobs.get(blob_id, size=body.length)
        except (*_AWAY, *_DAMAGED) as error:
            page, text = _unavailable(first.host, error)
            return write_head(page), text
        return self.hot.prepare(first.key, plan, blob_id, first.lead), data

    async def _answer(self, request: web.BaseRequest, lead: Lead) -> web.StreamResponse:
        # Once: the lead may be renewed while this waits for the store.
        route = lead.route
        if route is None:
            return _page(NO_SITE)
        manifest = await self._manifests.get(route)
        asked = SiteRequest.of(request.method, request.raw_path, request.headers)
        plan = plan_response(manifest, asked, preview=route.preview)
        if plan.missing_asset is not None and (
            earlier := await self.earlier.find(route, manifest, plan.missing_asset)
        ):
            plan = plan_response(manifest, asked, preview=route.preview, earlier=earlier)
        if isinstance(plan.body, bytes):
            self._prepare(request, plan, plan.body, lead)
            return _whole(plan, plan.body)
        return await self._send_blob(request, plan, plan.body, route.project_id, lead)

    async def _send_blob(
        self, request: web.BaseRequest, plan: Plan, blob: Blob, project_id: ProjectID, lead: Lead
    ) -> web.StreamResponse:
        blob_id = project_id, blob.sha256
        if plan.status == PARTIAL:
            if (data := self._blobs.peek(blob_id)) is not None:
                self._counters.memory += 1
                return _whole(plan, data[blob.start : blob.start + blob.length])
        elif blob.length <= MAX_BLOB_BYTES:
            data = await self._blobs.get(blob_id, size=blob.length)
            self._prepare(request, plan, blob_id, lead)
            return _whole(plan, data)
        whole = plan.status != PARTIAL
        opening = self._blobs.open(blob_id, start=blob.start, length=blob.length, whole=whole)
        async with opening as reader:
            if reader.bytes <= CHUNK_BYTES:
                return _whole(plan, b"".join([chunk async for chunk in reader]))
            return await _stream(request, plan, reader)

    def _prepare(self, request: web.BaseRequest, plan: Plan, body: BlobID | bytes, lead: Lead) -> None:
        self.hot.prepare(key_of(request.method, request.raw_path, request.headers), plan, body, lead)


@dataclass(frozen=True, slots=True)
class First:
    """An answer that is decided and needs its body."""

    key: HeadKey
    host: SiteHost
    lead: Lead
    project_id: ProjectID
    plan: Plan


def _unavailable(host: SiteHost, error: Exception) -> tuple[Plan, bytes]:
    if isinstance(error, _AWAY):
        log.warning("site %s is unavailable: %s", host.label, error)
    else:
        log.error("site %s is damaged", host.label, exc_info=error)
    headers = {"Retry-After": str(RETRY_AFTER_S), "Cache-Control": "no-store"}
    return plan_page(UNAVAILABLE, headers), render(UNAVAILABLE)


def bad_host_response() -> web.Response:
    return _page(BAD_HOST)


def unknown_host_response() -> web.Response:
    return _page(UNKNOWN_HOST)


def _whole(plan: Plan, body: bytes) -> web.Response:
    return web.Response(status=plan.status, headers=plan.headers, body=body)


def _page(page: Page) -> web.Response:
    return _whole(plan_page(page), render(page))


async def _stream(request: web.BaseRequest, plan: Plan, reader: ArtifactReader) -> web.StreamResponse:
    """Send ``reader`` as the client takes it: what waits in memory is a few chunks, or nothing of a file."""
    response = web.StreamResponse(status=plan.status, headers=plan.headers)
    try:
        await response.prepare(request)
        if reader.part is None or not await send_file(
            request, response, reader.part, reader.bytes, stall_timeout_s=STALL_TIMEOUT_S
        ):
            async for chunk in reader:
                async with asyncio.timeout(STALL_TIMEOUT_S):
                    await response.write(chunk)
        async with asyncio.timeout(STALL_TIMEOUT_S):
            await response.write_eof()
    except ConnectionError:
        log.debug("a client left in the middle of %s", request.raw_path)
    except TimeoutError:
        _break_off(request, response)
    except StoreUnavailable as error:
        # The status is sent. A body that ends early, visibly, is all that is left to say.
        log.warning("broke off %s: %s", request.raw_path, error)
        _break_off(request, response)
    return response


def _break_off(request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.force_close()
    if request.transport is not None:
        request.transport.abort()
