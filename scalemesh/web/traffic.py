"""Requests as aiohttp has answered them, counted by what they were for."""

from collections import defaultdict
from collections.abc import Callable
from enum import StrEnum

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from scalemesh.histogram import Histogram
from scalemesh.web.access_log import AccessLog

LATENCY_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""From a page in memory to a client on a slow line."""

_SWITCHING = 101


class RouteClass(StrEnum):
    CONTROL = "control"
    SITE = "site"
    OTHER = "other"
    """No host of ours, or no HTTP."""


ROUTE_CLASS: web.RequestKey[RouteClass] = web.RequestKey("route class", RouteClass)


class Traffic:
    """``requests`` by class and the first digit of the status; ``bytes`` as sent, heads included.

    ``latency`` is from a request's head to the last byte of the answer; a WebSocket has none.
    """

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[RouteClass, int], int] = defaultdict(int)
        self.bytes = dict.fromkeys(RouteClass, 0)
        self.latency = {route: Histogram(LATENCY_BOUNDS_S) for route in RouteClass}

    def count(self, route: RouteClass, status: int, size_bytes: int, took_s: float) -> None:
        self.requests[route, status // 100] += 1
        self.bytes[route] += size_bytes
        if status != _SWITCHING:
            self.latency[route].observe(took_s)


def first_observer(traffic: Traffic, access_log: AccessLog | None) -> Callable[..., None]:
    """What first answers are told to: counts and logs them as ``answer_observer`` does aiohttp's."""

    def observe(peer: object, head: bytes, answer: bytes, size_bytes: int, took_s: float) -> None:
        traffic.count(RouteClass.SITE, int(answer[9:12]), size_bytes, took_s)
        if access_log is not None:
            remote = str(peer[0] if isinstance(peer, tuple) else peer or "")
            access_log.note_hot(remote, head, answer, size_bytes, took_s)

    return observe


def answer_observer(traffic: Traffic, access_log: AccessLog | None) -> type[AbstractAccessLogger]:
    """What aiohttp is to call once an answer is sent: it counts, and tells ``access_log``."""

    class Observer(AbstractAccessLogger):
        def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
            route = request.get(ROUTE_CLASS, RouteClass.OTHER)
            traffic.count(route, response.status, response.body_length, time)
            if access_log is not None:
                access_log.note(request, response, time)

    return Observer
