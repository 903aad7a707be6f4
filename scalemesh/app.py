"""The application: everything joined, and served on one socket."""

import asyncio
import errno
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp_jinja2
import aiohttp_session
import jinja2
from aiohttp import web

from scalemesh.accounts import Accounts
from scalemesh.artifacts.store import GrantsUploads
from scalemesh.auth.secretbox import SecretBox
from scalemesh.auth.throttle import Throttle
from scalemesh.aws import Aws
from scalemesh.builds.dispatcher import Dispatcher
from scalemesh.builds.isolation import choose_sandbox
from scalemesh.builds.order import BuildPlace
from scalemesh.builds.place import Place, open_place
from scalemesh.builds.worker import Worker
from scalemesh.db import pool as database
from scalemesh.db import sites as site_routes
from scalemesh.db.pool import UNAVAILABLE, Pool
from scalemesh.deploys import Deploys
from scalemesh.embedded import EmbeddedServers
from scalemesh.examples import EXAMPLES
from scalemesh.fields.git import GitRules
from scalemesh.lifecycle import Resources, open_resources
from scalemesh.logs.events import Announcer
from scalemesh.logs.follow import Logs
from scalemesh.logs.hub import Hub
from scalemesh.logs.looks import looks
from scalemesh.logs.subscriber import subscriber
from scalemesh.logs.writers import LogWriters
from scalemesh.model import BuildID, SiteRoute
from scalemesh.projects import Projects
from scalemesh.settings import Settings
from scalemesh.sites import (
    EARLIER_AGE,
    EARLIER_DEPLOYMENTS,
    FetchEarlier,
    FetchRoute,
    FirstAnswers,
    HotHandler,
    HotRunner,
    RouteUnavailable,
    SiteHost,
    Sites,
    telling_handler,
)
from scalemesh.tasks import beside
from scalemesh.web import filters, front
from scalemesh.web.access_log import SAMPLED, AccessLog
from scalemesh.web.body import MAX_BODY_BYTES
from scalemesh.web.errors import tell_errors
from scalemesh.web.health import READINESS, Readiness
from scalemesh.web.log_readers import READERS, Readers, close_readers
from scalemesh.web.metrics import METERS, Meters
from scalemesh.web.routes import add_routes
from scalemesh.web.services import SERVICES, Services
from scalemesh.web.sessions import cookie_storage
from scalemesh.web.traffic import Traffic, answer_observer, first_observer

_ROOT = Path(__file__).resolve().parents[1]

SITES = web.AppKey("sites", Sites)

# A connection that sends no (whole) request for this long is closed; aiohttp's default is an hour.
_KEEPALIVE_S = 15.0
# How long what is left of a refused body is read, so that the client sees the answer before the close.
_LINGERING_S = 2.0
# What is under way at a stop gets this long to finish.
_SHUTDOWN_S = 10.0

Drain = Callable[[], Awaitable[None]]
"""Before a stop: /health says 503, nothing is claimed any more and builds are given back, while requests are
still answered. Returns when balancers have had DRAIN_S to notice; ends of the server do the rest."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that serves. ``servers`` are those that it runs on, as siblings beside it need them."""

    servers: EmbeddedServers
    drain: Drain


_DISPATCHER = web.AppKey("dispatcher", Dispatcher)


class CannotListen(Exception):
    """The address is taken or not this machine's; the sentence says what to do."""


def init_app(
    settings: Settings, resources: Resources, place: Place, *, sandbox: str, alone: bool
) -> web.Application:
    """``sandbox`` is the builder contract's BUILD_SANDBOX; ``alone``: no other process uses the database yet,
    as ``Dispatcher`` has it.
    """
    hub = Hub()
    secrets = SecretBox(resources.session_key)
    announcer = Announcer(resources.redis)
    worker = Worker(
        resources.pool,
        resources.redis,
        resources.store,
        place.launcher,
        secrets,
        BuildPlace(
            artifacts=resources.store.url,
            s3_endpoint_url=settings.s3_endpoint_url,
            redis_url=settings.redis_builder or resources.redis_url,
            sandbox=sandbox,
            allow_local_repos=settings.allow_local_repos,
            examples=resources.examples,
            memory_bytes=settings.build_memory_mib * 1024 * 1024,
        ),
        site_url=settings.site_url,
        grants=store if place.grants and isinstance(store := resources.store, GrantsUploads) else None,
        writers=LogWriters(resources.redis, resources.redis_url) if settings.embeds_redis else None,
    )
    dispatcher = Dispatcher(
        resources.pool,
        resources.store,
        worker,
        announcer,
        limits=settings.queue_limits,
        build_timeout=timedelta(seconds=settings.build_timeout_s),
        queue_timeout=timedelta(seconds=settings.build_queue_timeout_s),
        alone=alone,
    )
    sites = Sites(
        _route_fetcher(resources.pool),
        resources.store,
        fetch_earlier=_earlier_fetcher(resources.pool),
        memory_bytes=settings.cache_memory_mib * 1024 * 1024,
        disk=resources.disk,
    )
    app = web.Application(
        client_max_size=MAX_BODY_BYTES,
        middlewares=[
            front.name_request,
            front.control_headers(settings),
            tell_errors,
            aiohttp_session.session_middleware(cookie_storage(settings, resources.session_key)),
            front.refuse_foreign_writes,
        ],
    )
    app[SERVICES] = Services(
        settings=settings,
        git_rules=GitRules(
            allowed_hosts=settings.git_allowed_hosts,
            allow_local=settings.allow_local_repos,
            examples=[example.slug for example in EXAMPLES] if settings.offers_examples else (),
        ),
        accounts=Accounts(
            resources.pool,
            resources.passwords,
            Throttle(resources.redis.connection_pool),
            signups_open=settings.signups == "open",
        ),
        projects=Projects(resources.pool, announcer, secrets),
        deploys=Deploys(resources.pool, announcer, settings.queue_limits, dispatcher.wake),
        logs=Logs(resources.pool, resources.redis, resources.store, hub),
        announcer=announcer,
        checks={
            "postgres": lambda: database.check(resources.pool),
            "redis": lambda: _ping(resources),
            "store": resources.store.check,
        },
    )
    app[SITES] = sites
    app[READERS] = Readers()
    app[READINESS] = Readiness()
    app[_DISPATCHER] = dispatcher
    app[METERS] = Meters(resources.pool, Traffic(), sites, worker.counters, hub)
    add_routes(app)
    _add_pages(app)
    app.on_response_prepare.append(front.on_prepare)
    app.on_shutdown.append(close_readers)

    async def follow_logs(_app: web.Application) -> AsyncIterator[None]:
        async with (
            subscriber(resources.listening, hub, [sites.routes]),
            looks(resources.pool, resources.redis, hub),
            aclosing(sites.routes),
        ):
            yield

    async def dispatch_builds(_app: web.Application) -> AsyncIterator[None]:
        async with dispatcher.running():
            yield

    app.cleanup_ctx.extend([follow_logs, dispatch_builds])
    return app


@asynccontextmanager
async def running_server(
    settings: Settings, listener: socket.socket, *, servers: EmbeddedServers | None = None
) -> AsyncIterator[Running]:
    """Serves on ``listener`` inside the block.

    ``servers`` are another process's, which this one is beside: it keeps no builder standing by either.
    Raises what ``choose_sandbox``, ``open_resources`` and ``open_place`` do.
    """
    first = servers is None
    aws = Aws()
    async with (
        # A process of its own looks, for as long as the embedded servers take to start.
        beside(choose_sandbox(settings)) as sandbox,
        open_resources(settings, aws, servers=servers) as resources,
        # After them, so that a builder that is to stand by does not start in their way.
        open_place(settings, aws, standby=first) as place,
    ):
        app = init_app(
            settings, resources, place, sandbox=await sandbox, alone=first and settings.embeds_postgres
        )
        access_log = _access_log(settings)

        async def drain() -> None:
            app[READINESS].draining = True
            app[_DISPATCHER].stop()
            await asyncio.sleep(settings.drain_notice_s)

        runner = HotRunner(
            app,
            app[SITES].hot,
            FirstAnswers(
                app[SITES], front.hostnames(settings), first_observer(app[METERS].traffic, access_log)
            ),
            front=front.dispatch_host(settings, app[SITES], app),
            handler=telling_handler(access_log.note_hot) if access_log else HotHandler,
            access_log_class=answer_observer(app[METERS].traffic, access_log),
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=_LINGERING_S,
            shutdown_timeout=_SHUTDOWN_S,
        )
        try:
            await runner.setup()
            await web.SockSite(runner, listener).start()
            yield Running(resources.servers, drain)
        finally:
            await runner.cleanup()


def listen(host: str, port: int, *, opens: bool = False, joins: bool = False) -> socket.socket:
    """A bound socket. Raises CannotListen.

    One that ``opens`` its port had it for itself at first, as any other, and then lets those of this user in
    that ``join``; so a stranger on the port is refused, and being refused, is told so.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=1024, reuse_port=joins)
        if opens:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return listener
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(
                f"Port {port} on {host} is in use. Stop what uses it, or set PORT to another one."
            ) from None
        raise CannotListen(
            f"Can't listen on {host} port {port}: {error.strerror}. Set HOST and PORT."
        ) from None


def _access_log(settings: Settings) -> AccessLog | None:
    match settings.access_log:
        case "off":
            return None
        case "sampled":
            return AccessLog(SAMPLED, settings.trusted_proxies)
        case "full":
            return AccessLog(1, settings.trusted_proxies)


def _route_fetcher(pool: Pool) -> FetchRoute:
    async def fetch(host: SiteHost) -> SiteRoute | None:
        try:
            if host.deployment_id is None:
                return await site_routes.fetch_production_route(pool, host.label)
            return await site_routes.fetch_preview_route(pool, host.label, host.deployment_id)
        except UNAVAILABLE as error:
            raise RouteUnavailable(str(error)) from error

    return fetch


def _earlier_fetcher(pool: Pool) -> FetchEarlier:
    async def fetch(route: SiteRoute) -> Sequence[BuildID]:
        try:
            return await site_routes.list_earlier_deployments(
                pool, route.project_id, route.deployment_id, since=EARLIER_AGE, limit=EARLIER_DEPLOYMENTS
            )
        except UNAVAILABLE as error:
            raise RouteUnavailable(str(error)) from error

    return fetch


async def _ping(resources: Resources) -> None:
    await resources.redis.ping()


def _add_pages(app: web.Application) -> None:
    """Templates, and the static files under an address that changes whenever one of them does."""
    static = _ROOT / "static"
    digest = hashlib.sha256()
    for path in sorted(static.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    prefix = f"/static/{digest.hexdigest()[:12]}/"
    app.router.add_static(prefix, static)
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(_ROOT / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(ago=filters.ago, filesize=filters.filesize)
    environment.globals.update(duration=filters.duration, static=lambda path: prefix + path)
