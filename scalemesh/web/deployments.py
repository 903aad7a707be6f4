"""/deploy and /api/deployments."""

import re

from aiohttp import web

from scalemesh.errors import InvalidInput
from scalemesh.web import payloads, sessions, shapes
from scalemesh.web.answers import answer
from scalemesh.web.body import read_payload
from scalemesh.web.ids import deployment_id_of, project_id_of
from scalemesh.web.services import SERVICES

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


async def deploy(request: web.Request) -> web.Response:
    user = await sessions.get_user(request)
    body = await read_payload(request, payloads.Deploy)
    services = request.app[SERVICES]
    view = await services.deploys.deploy(
        user,
        project_id_of(body.project_id),
        ref=body.ref,
        no_cache=body.no_cache,
        idempotency_key=_idempotency_key(request),
    )
    return answer(
        request,
        shapes.accepted(view, services.settings),
        status=202,
        page=f"/deployments/{view.deployment.id}",
    )


async def index(request: web.Request) -> web.Response:
    user = await sessions.get_user(request)
    services = request.app[SERVICES]
    project_id = project_id_of(request.match_info["projectID"])
    view = await services.projects.get(user, project_id)
    page = await services.deploys.page(user, project_id, before_number=_cursor(request))
    items = [shapes.deployment(item, view.project, services.settings) for item in page.items]
    return web.json_response(shapes.page(items, page.next))


async def show(request: web.Request) -> web.Response:
    user = await sessions.get_user(request)
    services = request.app[SERVICES]
    view = await services.deploys.get(user, deployment_id_of(request.match_info["deploymentID"]))
    return web.json_response(shapes.deployment(view.deployment, view.project, services.settings))


async def cancel(request: web.Request) -> web.Response:
    user = await sessions.get_user(request)
    services = request.app[SERVICES]
    view = await services.deploys.cancel(user, deployment_id_of(request.match_info["deploymentID"]))
    shape = shapes.deployment(view.deployment, view.project, services.settings)
    return answer(request, shape, status=202, page=f"/deployments/{view.deployment.id}")


async def promote(request: web.Request) -> web.Response:
    user = await sessions.get_user(request)
    services = request.app[SERVICES]
    view = await services.deploys.promote(user, deployment_id_of(request.match_info["deploymentID"]))
    shape = shapes.deployment(view.deployment, view.project, services.settings)
    return answer(request, shape, page=f"/deployments/{view.deployment.id}")


def _idempotency_key(request: web.Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidInput(
            {"Idempotency-Key": "Use 1 to 255 visible ASCII characters for the Idempotency-Key header."}
        )
    return key


def _cursor(request: web.Request) -> int | None:
    """A page's ``next``: the number of the deployment that it ended with."""
    cursor = request.query.get("cursor")
    if cursor is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", cursor):
        raise InvalidInput({"cursor": "Use the `next` of the page before as cursor."})
    return int(cursor)
