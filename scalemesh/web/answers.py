"""How a handler answers: JSON to a program, a page to go to next to a form."""

import re
import secrets
from typing import Any

from aiohttp import web

from scalemesh.web.body import is_form

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request id", str)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def new_request_id() -> str:
    return secrets.token_hex(8)


def usable_request_id(given: str) -> str | None:
    """``given``, the caller's X-Request-ID, where it may be repeated."""
    return given if _REQUEST_ID.fullmatch(given) else None


def wants_page(request: web.Request) -> bool:
    """Whether a person's browser will show the answer, rather than a program read it."""
    if is_form(request):
        return True
    reads_api = request.path.startswith(("/api/", "/user/", "/health"))
    return (
        request.method in ("GET", "HEAD")
        and not reads_api
        and "text/html" in request.headers.get("Accept", "")
    )


def answer(
    request: web.Request, shape: dict[str, Any] | None, *, status: int = 200, page: str
) -> web.Response:
    """``shape`` as JSON (None: no body), or a redirect to ``page`` where a form asked."""
    if is_form(request):
        return web.Response(status=303, headers={"Location": page})
    if shape is None:
        return web.Response(status=status)
    return web.json_response(shape, status=status)
