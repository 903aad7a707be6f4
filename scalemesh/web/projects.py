"""/project and /api/projects."""

from aiohttp import web

from scalemesh.errors import InvalidInput
from scalemesh.projects import ProjectFields
from scalemesh.web import payloads, sessions, shapes
from scalemesh.web.answers import answer
from scalemesh.web.body import is_form, read_payload
from scalemesh.web.ids import project_id_of
from scalemesh.web.services import SERVICES


async def create(request: web.Request) -> web.Response:
    user = await sessions.get_user(request)
    body = await read_payload(request, payloads.NewProject)
    services = request.app[SERVICES]
    view = await services.projects.create(
        user,
        ProjectFields(
            name=body.name,
            git_url=body.git_url,
            build=body.settings(),
            env=body.env,
            access_token=body.access_token or None,
        ),
    )
    page = f"/projects/{view.project.id}"
    if body.deploy:
        deployed = await services.deploys.deploy(
            user, view.project.id, ref=None, no_cache=False, idempotency_key=None
        )
        page = f"/deployments/{deployed.deployment.id}"
    return answer(request, shapes.project(view, services.settings), status=201, page=page)


async def index(request: web.Request) -> web.Response:
    user = await sessions.get_user(request)
    services = request.app[SERVICES]
    page = await services.projects.page(user, cursor=request.query.get("cursor"))
    items = [shapes.project(view, services.settings) for view in page.items]
    return web.json_response(shapes.page(items, page.next))


async def show(request: web.Request) -> web.Response:
    user = await sessions.get_user(request)
    services = request.app[SERVICES]
    view = await services.projects.get(user, project_id_of(request.match_info["projectID"]))
    return web.json_response(shapes.project(view, services.settings))


async def update(request: web.Request) -> web.Response:
    user = await sessions.get_user(request)
    project_id = project_id_of(request.match_info["projectID"])
    services = request.app[SERVICES]
    await services.projects.get(user, project_id)
    body = await read_payload(request, payloads.ProjectChanges)
    view = await services.projects.update(user, project_id, body.changes())
    return answer(
        request, shapes.project(view, services.settings), page=f"/projects/{project_id}/settings?saved"
    )


async def delete(request: web.Request) -> web.Response:
    user = await sessions.get_user(request)
    project_id = project_id_of(request.match_info["projectID"])
    services = request.app[SERVICES]
    view = await services.projects.get(user, project_id)
    if is_form(request):
        body = await read_payload(request, payloads.DeleteProject)
        if body.confirm.strip() != view.project.slug:
            raise InvalidInput({"confirm": f"Type {view.project.slug} to delete the project."})
    await services.projects.delete(user, project_id)
    return answer(request, None, status=204, page="/")
