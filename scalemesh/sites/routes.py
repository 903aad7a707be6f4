"""Where hosts lead, remembered: a visit to a site that is in use asks the database nothing."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from scalemesh.logs.events import Event, SiteChanged
from scalemesh.model import ProjectID, SiteRoute
from scalemesh.sites.counters import Counters
from scalemesh.sites.hosts import SiteHost
from scalemesh.sites.once import Once
from scalemesh.tasks import end_tasks

log = logging.getLogger(__name__)

MAX_ROUTES = 20_000
"""Some 10 MB. Hosts that nobody has, which anybody can ask for, take their place among them."""

HEARD_TTL_S = 5.0
"""While changes are heard of, this is only for the announcement that was lost on its way; a thousand busy
sites then cost the database two hundred queries a second."""

TTL_S = 1.0
"""While they are not, and for hosts without a site, whose first deployment should be seen at once."""

PATIENCE_S = 0.5
"""How long a visitor of a site whose route is known, if not fresh, waits for a database that is slow."""

SAY_S = 60.0
"""Between two lines of the log that say so: a database with too much to do is slow many times a second."""

MAX_ASKS = 3
"""Of one visit, where something went live while the database was being asked. It takes a few milliseconds."""


class RouteUnavailable(Exception):
    """Where a host leads can't be found out just now."""


FetchRoute = Callable[[SiteHost], Awaitable[SiteRoute | None]]


class Lead:
    """Where a host leads: ``route``, None where there is no site, as was true lately.

    ``until``, on the loop's clock, is how long that is believed without asking. A host that leads elsewhere
    has another lead, and this one's ``until`` stays in the past.
    """

    __slots__ = ("route", "until")

    def __init__(self, route: SiteRoute | None, until: float) -> None:
        self.route = route
        self.until = until


class RouteCache:
    """The hosts asked for last, at most ``max_count``; each costs one query however many ask at once.

    ``fetch`` raises ``RouteUnavailable`` where it can't tell: the route known last is served then, for as
    long as that lasts. A listener to events; until it hears any, it counts on none.
    """

    def __init__(self, fetch: FetchRoute, counters: Counters, *, max_count: int = MAX_ROUTES) -> None:
        self._fetch = fetch
        self._counters = counters
        self._max_count = max_count
        self._leads: OrderedDict[SiteHost, Lead] = OrderedDict()
        self._asks: Once[SiteHost, Lead] = Once()
        # Each with the time until which its visitors wait for it.
        self._renewals: dict[SiteHost, tuple[asyncio.Task[Lead], float]] = {}
        self._changes = 0
        self._ttl_s = TTL_S
        self._said_at = float("-inf")

    def peek(self, host: SiteHost) -> Lead | None:
        """The lead, if it is here and believed."""
        lead = self._leads.get(host)
        if lead is None or lead.until <= _now():
            return None
        self._leads.move_to_end(host)
        return lead

    async def get(self, host: SiteHost) -> Lead:
        """Raises ``RouteUnavailable`` where it was never known."""
        if (known := self.peek(host)) is not None:
            self._counters.routes_known += 1
            return known
        lead = self._leads.get(host)
        if lead is None or lead.route is None:
            return await self._asks.get(host, lambda: self._find(host))
        return await self._renewed(host, lead)

    async def aclose(self) -> None:
        """Ends the questions whose visitors have an answer already."""
        await end_tasks(*(task for task, _ in self._renewals.values()))

    def handle(self, event: Event) -> None:
        if isinstance(event, SiteChanged):
            self.forget(event.project_id)

    def forget(self, project_id: ProjectID) -> None:
        """Something of the project went live or is gone: its hosts, and those without a site, ask again."""
        self._changes += 1
        for lead in self._leads.values():
            if lead.route is None or lead.route.project_id == project_id:
                lead.until = 0

    def heard(self) -> None:
        """Changes are heard of from now on. What there was before may have been missed."""
        self._changes += 1
        self._ttl_s = HEARD_TTL_S
        for lead in self._leads.values():
            lead.until = 0

    def lost(self) -> None:
        """Changes are not heard of any more."""
        self._ttl_s = TTL_S
        latest = _now() + TTL_S
        for lead in self._leads.values():
            lead.until = min(lead.until, latest)

    async def _find(self, host: SiteHost) -> Lead:
        known = self._leads.get(host)
        if known is not None and known.until > _now():
            # Somebody who waited longer has found it already.
            return known
        return await self._renew(host, known)

    async def _renewed(self, host: SiteHost, lead: Lead) -> Lead:
        """``lead`` or the one after it, or ``lead`` as it was where the database does not say in time."""
        if host not in self._renewals:
            # A task of its own: asyncpg takes its time to give a question up when its server hangs.
            task = asyncio.create_task(self._renew(host, lead), name=f"route of {host.label}")
            self._renewals[host] = task, _now() + PATIENCE_S
            task.add_done_callback(lambda task: self._ended(host, task))
            if _now() - lead.until < TTL_S:
                # It ran out a moment ago, and of its visitors one is enough to ask.
                lead.until = _now() + PATIENCE_S
        task, deadline = self._renewals[host]
        await asyncio.wait([task], timeout=max(deadline - _now(), 0))
        error = task.exception() if task.done() else TimeoutError("no answer in time")
        if error is None:
            return task.result()
        if not isinstance(error, RouteUnavailable | TimeoutError):
            raise error
        if _now() - self._said_at >= SAY_S:
            log.warning("serving by the routes known last: %s", error)
            self._said_at = _now()
        self._counters.routes_stale += 1
        lead.until = _now() + TTL_S
        return lead

    def _ended(self, host: SiteHost, task: asyncio.Task[Lead]) -> None:
        del self._renewals[host]
        if not task.cancelled():
            task.exception()  # looked at: its visitors may have gone on without it

    async def _renew(self, host: SiteHost, known: Lead | None) -> Lead:
        self._counters.routes_asked += 1
        route, until = await self._ask(host)
        if known is not None and known.route == route:
            known.until = until
            return self._keep(host, known)
        if known is not None:
            known.until = 0
        return self._keep(host, Lead(route, until))

    async def _ask(self, host: SiteHost) -> tuple[SiteRoute | None, float]:
        """The route, and how long to believe it; no time at all where changes outran the question."""
        for _ in range(MAX_ASKS):
            changes = self._changes
            route = await self._fetch(host)
            if changes == self._changes:
                return route, _now() + (TTL_S if route is None else self._ttl_s)
        return route, 0

    def _keep(self, host: SiteHost, lead: Lead) -> Lead:
        self._leads[host] = lead
        self._leads.move_to_end(host)
        if len(self._leads) > self._max_count:
            # What is prepared for it must not be believed either: nobody would tell it of changes.
            self._leads.popitem(last=False)[1].until = 0
        return lead


def _now() -> float:
    return asyncio.get_running_loop().time()
