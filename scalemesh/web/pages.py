"""The pages: each template with what it is given.

A page with a form is also what answers a form post that was wrong: it is shown again with what was
typed (``values``) and what is wrong (``fields``, ``error``).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp_jinja2
from aiohttp import web

from scalemesh import keys
from scalemesh.errors import ScaleMeshError
from scalemesh.examples import EXAMPLES
from scalemesh.web import sessions, shapes
from scalemesh.web.answers import REQUEST_ID
from scalemesh.web.ids import deployment_id_of, project_id_of
from scalemesh.web.services import SERVICES


@dataclass(frozen=True, slots=True)
class Form:
    """A form as it is shown: empty, or after a mistake."""

    values: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    status: int = 200

    @classmethod
    def after(cls, error: ScaleMeshError, values: Mapping[str, str], status: int) -> "Form":
        # A mistake that names its fields is told beside them, once.
        return cls(values, error.fields, None if error.fields else str(error), status)


FormPage = Callable[[web.Request, Form], Awaitable[web.Response]]
EMPTY = Form()


async def start(request: web.Request) -> web.Response:
    if await sessions.fetch_user(request) is None:
        return await _render(request, "landing.html", {})
    return await projects(request)


async def login(request: web.Request, form: Form = EMPTY) -> web.Response:
    return await _render(request, "login.html", {"next": _next(request, form)}, form)


async def signup(request: web.Request, form: Form = EMPTY) -> web.Response:
    return await _render(request, "signup.html", {"next": _next(request, form)}, form)


async def account(request: web.Request, form: Form = EMPTY) -> web.Response:
    await sessions.get_user(request)
    return await _render(request, "account.html", {"saved": "saved" in request.query}, form)


async def projects(request: web.Request) -> web.Response:
    user = await sessions.get_user(request)
    services = request.app[SERVICES]
    page = await services.projects.page(user, cursor=request.query.get("cursor"))
    items = [
        {
            **shapes.project(view, services.settings),
            "latest": shapes.deployment(view.latest, view.project, services.settings)
            if view.latest
            else None,
        }
        for view in page.items
    ]
    return await _render(
        request, "projects.html", {"projects": items, "next": page.next, "examples": _examples(request)}
    )


async def project_new(request: web.Request, form: Form = EMPTY) -> web.Response:
    await sessions.get_user(request)
    return await _render(request, "project_new.html", {"examples": _examples(request)}, form)


async def project(request: web.Request, form: Form = EMPTY) -> web.Response:
    user = await sessions.get_user(request)
    services = request.app[SERVICES]
    project_id = project_id_of(form.values.get("projectID") or request.match_info.get("projectID", ""))
    view = await services.projects.get(user, project_id)
    page = await services.deploys.page(user, project_id, before_number=_number(request.query.get("cursor")))
    return await _render(
        request,
        "project.html",
        {
            "project": shapes.project(view, services.settings),
            "deployments": [shapes.deployment(item, view.project, services.settings) for item in page.items],
            "next": page.next,
        },
        form,
    )


async def project_settings(request: web.Request, form: Form = EMPTY) -> web.Response:
    user = await sessions.get_user(request)
    services = request.app[SERVICES]
    project_id = project_id_of(request.match_info["projectID"])
    view = await services.projects.get(user, project_id)
    shape = shapes.project(view, services.settings)
    if not form.values:
        form = Form({name: value for name, value in shape.items() if isinstance(value, str)})
    context = {
        "project": shape,
        "env_kept": shapes.variables(await services.projects.env_scopes(user, project_id)),
        "has_access_token": await services.projects.has_access_token(user, project_id),
        "saved": "saved" in request.query,
    }
    return await _render(request, "project_settings.html", context, form)


async def deployment(request: web.Request, form: Form = EMPTY) -> web.Response:
    user = await sessions.get_user(request)
    services = request.app[SERVICES]
    view = await services.deploys.get(user, deployment_id_of(request.match_info["deploymentID"]))
    project_view = await services.projects.get(user, view.project.id)
    log_url = f"/api/deployments/{view.deployment.id}/logs"
    return await _render(
        request,
        "deployment.html",
        {
            "deployment": shapes.deployment(view.deployment, view.project, services.settings),
            "project": shapes.project(project_view, services.settings),
            "is_production": view.project.production_id == view.deployment.id,
            "log_url": log_url,
            "live_url": f"{log_url}/live",
        },
        form,
    )


async def error(
    request: web.Request, *, status: int, title: str, message: str, headers: Mapping[str, str]
) -> web.Response:
    context = {"status": status, "title": title, "message": message, "request_id": request[REQUEST_ID]}
    response = aiohttp_jinja2.render_template(
        "error.html", request, {"user": request.get(sessions.USER), "path": request.path, **context}
    )
    response.set_status(status)
    response.headers.update(headers)
    return response


async def _render(
    request: web.Request, template: str, context: Mapping[str, Any], form: Form = EMPTY
) -> web.Response:
    user = await sessions.fetch_user(request)
    services = request.app[SERVICES]
    response = aiohttp_jinja2.render_template(
        template,
        request,
        {
            "user": shapes.user(user) if user else None,
            "path": request.path,
            "signups_open": services.accounts.signups_open,
            "values": form.values,
            "fields": form.fields,
            "error": form.error,
            **context,
        },
    )
    response.set_status(form.status)
    return response


def _next(request: web.Request, form: Form) -> str:
    return sessions.safe_next(form.values.get("next") or request.query.get("next", "/"))


def _examples(request: web.Request) -> list[dict[str, str]]:
    if not request.app[SERVICES].settings.offers_examples:
        return []
    return [
        {
            "title": example.title,
            "description": example.description,
            "gitUrl": example.git_url,
            # Somebody else may have deployed the same example: its plain address would be taken.
            "name": f"{example.slug}-{keys.new_id()[:5]}",
        }
        for example in EXAMPLES
    ]


def _number(cursor: str | None) -> int | None:
    return int(cursor) if cursor and cursor.isascii() and cursor.isdigit() and len(cursor) < 10 else None
