"""Where hosts lead."""

from collections.abc import Awaitable, Callable

from scalemesh.model import SiteRoute
from scalemesh.sites.hosts import SiteHost


class RouteUnavailable(Exception):
    """Where a host leads can't be found out just now."""


FetchRoute = Callable[[SiteHost], Awaitable[SiteRoute | None]]
