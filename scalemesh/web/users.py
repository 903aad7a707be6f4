"""/user: accounts and sessions."""

from aiohttp import web

from scalemesh.logs.events import SessionEnded
from scalemesh.web import payloads, sessions, shapes
from scalemesh.web.answers import answer
from scalemesh.web.body import read_payload
from scalemesh.web.services import SERVICES


async def sign_up(request: web.Request) -> web.Response:
    body = await read_payload(request, payloads.Signup)
    user = await request.app[SERVICES].accounts.sign_up(
        name=body.name, email=body.email, password=body.password, address=sessions.client_address(request)
    )
    await sessions.begin(request, user)
    return answer(request, shapes.user(user), status=201, page=sessions.safe_next(body.next))


async def log_in(request: web.Request) -> web.Response:
    body = await read_payload(request, payloads.Login)
    user = await request.app[SERVICES].accounts.log_in(
        email=body.email, password=body.password, address=sessions.client_address(request)
    )
    await sessions.begin(request, user)
    return answer(request, shapes.user(user), page=sessions.safe_next(body.next))


async def log_out(request: web.Request) -> web.Response:
    await sessions.end(request)
    return answer(request, None, status=204, page="/login")


async def change_password(request: web.Request) -> web.Response:
    user = await sessions.get_user(request)
    body = await read_payload(request, payloads.PasswordChange)
    services = request.app[SERVICES]
    await services.accounts.change_password(
        user, current=body.current_password, new=body.password, address=sessions.client_address(request)
    )
    await services.announcer.announce(SessionEnded(user.id, None))
    await sessions.begin(request, user)
    return answer(request, None, status=204, page="/account?saved")


async def me(request: web.Request) -> web.Response:
    return web.json_response(shapes.user(await sessions.get_user(request)))
