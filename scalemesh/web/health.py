"""/health: whether the parts answer. /health/live: whether the loop turns."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from scalemesh.web.services import SERVICES

logger = logging.getLogger(__name__)

# A part that takes longer is not well, and a load balancer wants to know soon.
_CHECK_TIMEOUT_S = 2.0


class Readiness:
    """Whether this server wants requests. Once it drains it never does again."""

    draining = False


READINESS = web.AppKey("readiness", Readiness)


async def live(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    if request.app[READINESS].draining:
        return web.json_response({"status": "draining"}, status=503)
    checks = request.app[SERVICES].checks
    results = await asyncio.gather(*(_run(name, check) for name, check in checks.items()))
    shape = dict(zip(checks, results, strict=True))
    well = all(result == "ok" for result in results)
    return web.json_response(
        {"status": "ok" if well else "unavailable", "checks": shape}, status=200 if well else 503
    )


async def _run(name: str, check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await check()
    except Exception as error:
        # Whatever is wrong with a part is what this route is asked about; the detail is for the log alone.
        logger.warning("health: %s: %r", name, error)
        return "unavailable"
    return "ok"
