"""The one place that knows which status an error becomes, and how it is told."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from aiohttp import web
from redis.exceptions import RedisError

from scalemesh import errors
from scalemesh.artifacts.store import StoreUnavailable
from scalemesh.db.pool import UNAVAILABLE
from scalemesh.web import pages, sessions
from scalemesh.web.answers import REQUEST_ID, wants_page
from scalemesh.web.body import form_values, is_form
from scalemesh.web.routes import form_page

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUSES: Mapping[type[errors.ScaleMeshError], int] = {
    errors.MalformedRequest: 400,
    errors.NotLoggedIn: 401,
    errors.WrongCredentials: 401,
    errors.WrongPassword: 403,
    errors.ForeignOrigin: 403,
    errors.SignupsClosed: 403,
    errors.ProjectNotFound: 404,
    errors.DeploymentNotFound: 404,
    errors.RequestTimeout: 408,
    errors.EmailTaken: 409,
    errors.SlugTaken: 409,
    errors.IdempotencyConflict: 409,
    errors.CannotPromote: 409,
    errors.CannotCancel: 409,
    errors.UnsupportedMediaType: 415,
    errors.InvalidInput: 422,
    errors.TooManyRequests: 429,
    errors.Busy: 503,
}
_AWAY: tuple[type[Exception], ...] = (StoreUnavailable, RedisError, *UNAVAILABLE)
# What is left unread of such a request would be taken for the next one.
_CLOSING = frozenset({400, 408, 413})


@web.middleware
async def tell_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except errors.ScaleMeshError as error:
        return await _tell_known(request, error)
    except web.HTTPException as error:
        return await _tell_http(request, error)
    except _AWAY as error:
        logger.warning("%s %s: unavailable: %r", request.method, request.path, error)
        message = "A part of this server is away just now. Try again in a few seconds."
        return await _tell(request, 503, "unavailable", message, headers={"Retry-After": "2"})
    except ConnectionError:
        raise
    except Exception:
        logger.exception("%s %s failed; request %s", request.method, request.path, request[REQUEST_ID])
        message = "Something broke on this server. It has been written down; please try again."
        return await _tell(request, 500, "internal_error", message)


async def _tell_known(request: web.Request, error: errors.ScaleMeshError) -> web.StreamResponse:
    status = STATUSES[type(error)]
    headers = {}
    if isinstance(error, errors.TooManyRequests | errors.Busy):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, errors.NotLoggedIn) and wants_page(request):
        here = request.path_qs if request.method == "GET" else _page_before(request)
        return web.Response(status=303, headers={"Location": f"/login?next={quote(here, safe='/')}"})
    response = await _form_again(request, error, status)
    if response is None:
        response = await _tell(request, status, error.code, str(error), fields=error.fields)
    response.headers.update(headers)
    if status in _CLOSING:
        response.force_close()
    return response


def _page_before(request: web.Request) -> str:
    """The page whose form was posted, for coming back to it."""
    referer = urlsplit(request.headers.get("Referer", ""))
    return sessions.safe_next(referer.path) if referer.netloc == request.host else "/"


async def _form_again(
    request: web.Request, error: errors.ScaleMeshError, status: int
) -> web.StreamResponse | None:
    """The page of the form that was wrong, as it was typed; None where there is no such page to show."""
    page = form_page(request) if is_form(request) else None
    if page is None:
        return None
    try:
        return await page(request, pages.Form.after(error, form_values(request), status))
    except errors.ScaleMeshError:
        # The page's own project or deployment is gone: the first error says it better than the second.
        return None


async def _tell_http(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    messages = {
        404: ("not_found", "There is nothing at this address."),
        405: ("method_not_allowed", f"{request.method} is not possible here."),
        413: ("body_too_large", "The request's body is too large: send at most 64 KiB."),
    }
    code, message = messages.get(
        error.status, (HTTPStatus(error.status).phrase.lower().replace(" ", "_"), f"{error.reason}.")
    )
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    response = await _tell(request, error.status, code, message, headers=headers)
    if error.status in _CLOSING:
        response.force_close()
    return response


async def _tell(
    request: web.Request,
    status: int,
    code: str,
    message: str,
    *,
    headers: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
) -> web.Response:
    if wants_page(request):
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            # It must not look logged out; but without a database it is told all the same.
            with suppress(*_AWAY):
                await sessions.fetch_user(request)
        title = HTTPStatus(status).phrase
        return await pages.error(request, status=status, title=title, message=message, headers=headers or {})
    shape: dict[str, object] = {"error": message, "code": code, "requestID": request[REQUEST_ID]}
    if fields:
        shape["fields"] = dict(fields)
    return web.json_response(shape, status=status, headers=headers)
