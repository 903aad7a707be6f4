"""The table of contents: every route of the control host, and the page that shows a form's mistakes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from scalemesh.web import deployments, health, logs, metrics, pages, projects, users
from scalemesh.web.pages import FormPage

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    handler: Handler
    form_page: FormPage | None = None


ROUTES = (
    Route("GET", "/health", health.ready),
    Route("GET", "/health/live", health.live),
    Route("GET", "/metrics", metrics.show),
    Route("POST", "/user/signup", users.sign_up, pages.signup),
    Route("POST", "/user/login", users.log_in, pages.login),
    Route("POST", "/user/logout", users.log_out),
    Route("POST", "/user/password", users.change_password, pages.account),
    Route("GET", "/user/me", users.me),
    Route("POST", "/project", projects.create, pages.project_new),
    Route("GET", "/api/projects", projects.index),
    Route("GET", "/api/projects/{projectID}", projects.show),
    Route("PATCH", "/api/projects/{projectID}", projects.update),
    Route("DELETE", "/api/projects/{projectID}", projects.delete),
    # What an HTML form can't say with PATCH and DELETE.
    Route("POST", "/api/projects/{projectID}", projects.update, pages.project_settings),
    Route("POST", "/api/projects/{projectID}/delete", projects.delete, pages.project_settings),
    Route("POST", "/deploy", deployments.deploy, pages.project),
    Route("GET", "/api/projects/{projectID}/deployments", deployments.index),
    Route("GET", "/api/deployments/{deploymentID}", deployments.show),
    Route("POST", "/api/deployments/{deploymentID}/cancel", deployments.cancel, pages.deployment),
    Route("POST", "/api/deployments/{deploymentID}/promote", deployments.promote, pages.deployment),
    Route("GET", "/api/deployments/{deploymentID}/logs", logs.read),
    Route("GET", "/api/deployments/{deploymentID}/logs/live", logs.live),
    Route("GET", "/", pages.start),
    Route("GET", "/login", pages.login),
    Route("GET", "/signup", pages.signup),
    Route("GET", "/account", pages.account),
    # Where cutting a project's address leads.
    Route("GET", "/projects", pages.projects),
    Route("GET", "/projects/new", pages.project_new),
    Route("GET", "/projects/{projectID}", pages.project),
    Route("GET", "/projects/{projectID}/settings", pages.project_settings),
    Route("GET", "/deployments/{deploymentID}", pages.deployment),
)

FORM_PAGES = {(route.method, route.path): route.form_page for route in ROUTES if route.form_page}


def add_routes(app: web.Application) -> None:
    for route in ROUTES:
        app.router.add_route(route.method, route.path, route.handler)


def form_page(request: web.Request) -> FormPage | None:
    """The page that shows again the form which was posted."""
    resource = request.match_info.route.resource
    return FORM_PAGES.get((request.method, resource.canonical)) if resource else None
