"""The application: everything joined, and served on one socket."""

import errno
import hashlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp_jinja2
import aiohttp_session
import jinja2
from aiohttp import web
from redis.exceptions import RedisError

from scalemesh.accounts import Accounts
from scalemesh.artifacts.store import StoreUnavailable
from scalemesh.auth.secretbox import SecretBox
from scalemesh.auth.throttle import Throttle
from scalemesh.builds.dispatcher import Dispatcher
from scalemesh.builds.order import BuildPlace
from scalemesh.builds.place import Place, open_place
from scalemesh.builds.worker import Worker
from scalemesh.db import pool as database
from scalemesh.db import sites as site_routes
from scalemesh.db.pool import UNAVAILABLE, Pool
from scalemesh.deploys import Deploys
from scalemesh.examples import EXAMPLES
from scalemesh.fields.git import GitRules
from scalemesh.lifecycle import Resources, open_resources
from scalemesh.logs.events import Announcer
from scalemesh.logs.follow import Logs
from scalemesh.logs.hub import Hub
from scalemesh.logs.subscriber import subscriber
from scalemesh.model import DeploymentID, SiteRoute
from scalemesh.projects import Projects
from scalemesh.settings import Settings
from scalemesh.sites import (
    EARLIER_AGE,
    EARLIER_DEPLOYMENTS,
    FetchEarlier,
    FetchRoute,
    HotRunner,
    RouteUnavailable,
    SiteHost,
    Sites,
)
from scalemesh.web import filters, front
from scalemesh.web.body import MAX_BODY_BYTES
from scalemesh.web.errors import tell_errors
from scalemesh.web.log_readers import READERS, Readers, close_readers
from scalemesh.web.routes import add_routes
from scalemesh.web.services import SERVICES, Services
from scalemesh.web.sessions import cookie_storage

logger = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[1]

SITES = web.AppKey("sites", Sites)

# A connection that sends no (whole) request for this long is closed; aiohttp's default is an hour.
_KEEPALIVE_S = 15.0
# How long what is left of a refused body is read, so that the client sees the answer before the close.
_LINGERING_S = 2.0
# What is under way at a stop gets this long to finish.
_SHUTDOWN_S = 10.0


class CannotListen(Exception):
    """The address is taken or not this machine's; the sentence says what to do."""


def init_app(settings: Settings, resources: Resources, place: Place) -> web.Application:
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
            redis_url=resources.redis_url,
            sandbox=place.sandbox,
            allow_local_repos=settings.allow_local_repos,
            examples=resources.examples,
            memory_bytes=settings.build_memory_mib * 1024 * 1024,
        ),
        site_url=settings.site_url,
    )
    dispatcher = Dispatcher(
        resources.pool,
        resources.store,
        worker,
        announcer,
        limits=settings.queue_limits,
        build_timeout=timedelta(seconds=settings.build_timeout_s),
        queue_timeout=timedelta(seconds=settings.build_queue_timeout_s),
        alone=settings.embeds_postgres,
    )
    sites = Sites(
        _route_fetcher(resources.pool),
        resources.store,
        fetch_earlier=_earlier_fetcher(resources.pool),
        memory_bytes=settings.cache_memory_mib * 1024 * 1024,
    )
    app = web.Application(
        client_max_size=MAX_BODY_BYTES,
        middlewares=[
            front.dispatch_host(settings, sites),
            front.name_request,
            front.control_headers(settings),
            tell_errors,
            front.refuse_foreign_writes,
            aiohttp_session.session_middleware(cookie_storage(settings, resources.session_key)),
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
    add_routes(app)
    _add_pages(app)
    app.on_response_prepare.append(front.on_prepare)
    app.on_shutdown.append(close_readers)

    async def follow_logs(_app: web.Application) -> AsyncIterator[None]:
        async with subscriber(resources.listening, hub, [sites.routes]):
            yield

    async def dispatch_builds(_app: web.Application) -> AsyncIterator[None]:
        async with dispatcher.running():
            yield

    app.cleanup_ctx.extend([follow_logs, dispatch_builds])
    return app


@asynccontextmanager
async def running_server(settings: Settings, listener: socket.socket) -> AsyncIterator[None]:
    """Serves on ``listener`` inside the block; raises what ``open_place`` and ``open_resources`` do."""
    async with open_place(settings) as place, open_resources(settings) as resources:
        await _warn_of_what_is_away(resources)
        app = init_app(settings, resources, place)
        runner = HotRunner(
            app,
            app[SITES].hot,
            access_log=None,
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=_LINGERING_S,
            shutdown_timeout=_SHUTDOWN_S,
        )
        try:
            await runner.setup()
            await web.SockSite(runner, listener).start()
            yield
        finally:
            await runner.cleanup()


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises CannotListen."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(
                f"Port {port} on {host} is in use. Stop what uses it, or set PORT to another one."
            ) from None
        raise CannotListen(
            f"Can't listen on {host} port {port}: {error.strerror}. Set HOST and PORT."
        ) from None


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
    async def fetch(route: SiteRoute) -> Sequence[DeploymentID]:
        try:
            return await site_routes.list_earlier_deployments(
                pool, route.project_id, route.deployment_id, since=EARLIER_AGE, limit=EARLIER_DEPLOYMENTS
            )
        except UNAVAILABLE as error:
            raise RouteUnavailable(str(error)) from error

    return fetch


async def _ping(resources: Resources) -> None:
    await resources.redis.ping()


async def _warn_of_what_is_away(resources: Resources) -> None:
    """The server starts without Redis and the store, and works again once they are back."""
    parts: dict[str, Callable[[], Awaitable[None]]] = {
        "Redis (REDIS_URL)": lambda: _ping(resources),
        "the artifact store (S3_BUCKET, S3_ENDPOINT_URL)": resources.store.check,
    }
    for part, check in parts.items():
        try:
            await check()
        except (RedisError, StoreUnavailable) as error:
            logger.warning("%s can't be reached: %s", part, error)


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
