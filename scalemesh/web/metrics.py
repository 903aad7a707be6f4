"""/metrics, for Prometheus: what this process has counted, and the queue. docs/metrics.md has every name."""

import asyncio
import hmac
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from urllib.parse import urlsplit

import psutil
from aiohttp import web
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from scalemesh.addresses import is_loopback
from scalemesh.builds.counters import BuildCounters
from scalemesh.db.pool import UNAVAILABLE, Pool
from scalemesh.db.waiting import QueueSize, measure_queue
from scalemesh.histogram import Histogram
from scalemesh.logs.hub import Hub
from scalemesh.sites import Sites
from scalemesh.web.log_readers import READERS
from scalemesh.web.services import SERVICES
from scalemesh.web.traffic import RouteClass, Traffic

logger = logging.getLogger(__name__)

# Prometheus gives up after ten seconds; what this process has counted should be there long before.
_QUEUE_TIMEOUT_S = 2.0

_FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")


@dataclass(frozen=True, slots=True)
class Meters:
    """Whatever counts."""

    pool: Pool
    traffic: Traffic
    sites: Sites
    builds: BuildCounters
    hub: Hub


METERS: web.AppKey[Meters] = web.AppKey("meters", Meters)


async def show(request: web.Request) -> web.Response:
    if not may_read(request, request.app[SERVICES].settings.metrics_token):
        raise web.HTTPNotFound
    meters = request.app[METERS]
    snapshot = _Snapshot(meters, log_clients=len(request.app[READERS]), queue=await _queue(meters.pool))
    return web.Response(body=generate_latest(snapshot), headers={"Content-Type": CONTENT_TYPE_LATEST})


def may_read(request: web.BaseRequest, token: str) -> bool:
    """Whoever has ``token``; where it is empty, who asks on this machine by its name and through no proxy.

    A proxy on this machine passes on the public's Host, or says whom it asks for, and mostly both.
    """
    if token:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(errors="surrogateescape"), f"Bearer {token}".encode())
    return (
        is_loopback(request.remote or "")
        and is_loopback(urlsplit(f"//{request.host}").hostname or "")
        and not any(name in request.headers for name in _FORWARDED)
    )


async def _queue(pool: Pool) -> QueueSize | None:
    """None where the database is away: the rest is wanted then more than ever."""
    try:
        async with asyncio.timeout(_QUEUE_TIMEOUT_S):
            return await measure_queue(pool)
    except UNAVAILABLE as error:
        logger.warning("metrics: the queue can't be read now: %r", error)
        return None


class _Snapshot(Collector):
    """Each metric as it is now. What is of this process has its ``pid``; the queue is every process's."""

    def __init__(self, meters: Meters, *, log_clients: int, queue: QueueSize | None) -> None:
        self._meters = meters
        self._log_clients = log_clients
        self._queue = queue
        self._pid = str(os.getpid())

    def collect(self) -> Iterator[Metric]:
        yield from self._http()
        yield from self._sites()
        yield from self._builds()
        yield from self._logs()
        yield from self._database()
        yield from self._process()

    def _http(self) -> Iterator[Metric]:
        traffic, hot = self._meters.traffic, self._meters.sites.counters
        requests = dict(traffic.requests)
        for status, count in hot.hot.items():
            key = RouteClass.SITE, status // 100
            requests[key] = requests.get(key, 0) + count
        size_bytes = {**traffic.bytes, RouteClass.SITE: traffic.bytes[RouteClass.SITE] + hot.hot_bytes}
        yield self._counter(
            "scalemesh_http_requests",
            "Requests answered.",
            ("route", "status"),
            {(route.value, f"{digit}xx"): count for (route, digit), count in requests.items()},
        )
        yield self._counter(
            "scalemesh_http_response_bytes",
            "Bytes of answers, heads included.",
            ("route",),
            {(route.value,): count for route, count in size_bytes.items()},
        )
        yield self._histogram(
            "scalemesh_http_request_duration_seconds",
            "From a request's head to the last byte of its answer; not of prepared answers.",
            "route",
            {route.value: histogram for route, histogram in traffic.latency.items()},
        )

    def _sites(self) -> Iterator[Metric]:
        counters = self._meters.sites.counters
        yield self._counter(
            "scalemesh_site_files",
            "Answers with a file of a site, by where its bytes came from.",
            ("tier",),
            {
                ("hot",): counters.hot.total(),
                ("memory",): counters.memory,
                ("disk",): counters.disk,
                ("store",): counters.store,
            },
        )
        yield self._counter(
            "scalemesh_site_earlier_files",
            "Answers with a file of an earlier deployment, for a page from before the last deploy.",
            (),
            {(): self._meters.sites.earlier.found},
        )
        yield self._counter(
            "scalemesh_site_routes",
            "Look-ups of a host, by whether the database was asked; stale where it gave no answer.",
            ("source",),
            {
                ("memory",): counters.routes_known,
                ("database",): counters.routes_asked - counters.routes_stale,
                ("stale",): counters.routes_stale,
            },
        )

    def _builds(self) -> Iterator[Metric]:
        builds = self._meters.builds
        if (queue := self._queue) is not None:
            yield GaugeMetricFamily("scalemesh_builds_queued", "Deployments that wait.", queue.queued)
            yield GaugeMetricFamily("scalemesh_builds_running", "Deployments that build.", queue.building)
            yield GaugeMetricFamily(
                "scalemesh_builds_oldest_wait_seconds",
                "How long the first of those that wait has done so.",
                queue.oldest_wait_s,
            )
        yield self._histogram(
            "scalemesh_build_duration_seconds",
            "From the first attempt's start to the outcome.",
            "outcome",
            {status.value: histogram for status, histogram in builds.ended.items()},
        )
        yield self._counter(
            "scalemesh_build_retries",
            "Builds interrupted and put back to be built again.",
            (),
            {(): builds.retries},
        )

    def _logs(self) -> Iterator[Metric]:
        yield self._gauge("scalemesh_log_clients", "Open log consoles.", (), {(): self._log_clients})
        yield self._counter(
            "scalemesh_log_lines",
            "Log lines handed on as they came, once for each console.",
            (),
            {(): self._meters.hub.lines},
        )

    def _database(self) -> Iterator[Metric]:
        pool = self._meters.pool
        size, idle = pool.get_size(), pool.get_idle_size()
        yield self._gauge(
            "scalemesh_database_connections",
            "Open connections of the pool.",
            ("state",),
            {("used",): size - idle, ("idle",): idle},
        )
        yield self._gauge(
            "scalemesh_database_connections_max", "The pool's limit.", (), {(): pool.get_max_size()}
        )

    def _process(self) -> Iterator[Metric]:
        process = psutil.Process()
        with process.oneshot():
            times = process.cpu_times()
            cpu_s, rss_bytes = times.user + times.system, process.memory_info().rss
            fds, started_at_s = process.num_fds(), process.create_time()
        yield self._counter("process_cpu_seconds", "User and system time.", (), {(): cpu_s})
        yield self._gauge("process_resident_memory_bytes", "Resident memory.", (), {(): rss_bytes})
        yield self._gauge("process_open_fds", "Open file descriptors.", (), {(): fds})
        yield self._gauge("process_start_time_seconds", "Start, since the epoch.", (), {(): started_at_s})

    def _counter(
        self, name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
    ) -> Metric:
        family = CounterMetricFamily(name, text, labels=("pid", *labels))
        for key, value in values.items():
            family.add_metric((self._pid, *key), value)
        return family

    def _gauge(
        self, name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
    ) -> Metric:
        family = GaugeMetricFamily(name, text, labels=("pid", *labels))
        for key, value in values.items():
            family.add_metric((self._pid, *key), value)
        return family

    def _histogram(self, name: str, text: str, label: str, values: Mapping[str, Histogram]) -> Metric:
        family = HistogramMetricFamily(name, text, labels=("pid", label))
        for key, histogram in values.items():
            bounds = [*map(str, histogram.bounds_s), "+Inf"]
            buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
            family.add_metric((self._pid, key), buckets, histogram.sum_s)
        return family
