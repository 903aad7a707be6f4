"""A deployment's log: what there is of it, and as it comes, over HTTP and over a WebSocket."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from aiohttp import web

from scalemesh.deploys import DeploymentView
from scalemesh.errors import MalformedRequest
from scalemesh.logs.follow import Event, up_to
from scalemesh.logs.hub import Watch
from scalemesh.web import sessions
from scalemesh.web.ids import deployment_id_of
from scalemesh.web.log_formats import ENDED_ID, Format
from scalemesh.web.log_readers import READERS, BodyReader, SocketReader, attend, deliver
from scalemesh.web.services import SERVICES

_SEQ = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Range:
    """Lines ``after`` + 1 to ``upto``, both included; to the end where that is None."""

    after: int
    upto: int | None


async def read(request: web.Request) -> web.StreamResponse:
    """The lines of the range that there are now, or with ``follow`` each as it comes.

    NDJSON, or what Accept or ``format`` asks for: text, or server-sent events, which always follow.
    """
    view = await _deployment(request)
    form = _format(request)
    if form is Format.EVENTS and request.headers.get("Last-Event-ID") == ENDED_ID:
        return web.Response(status=204)  # which is how EventSource is told not to come back
    lines = _range(request)
    follows = form is Format.EVENTS or request.query.get("follow", "0") != "0"
    response = web.StreamResponse()
    response.content_type = form.content_type
    response.charset = "utf-8"
    if follows:
        sessions.check_origin(request)
        response.headers["X-Accel-Buffering"] = "no"  # nginx, and whoever speaks its language
        events = _follow(request, await _watch(request, view), lines)
    else:
        events = request.app[SERVICES].logs.read(view.project.id, view.deployment.id, after=lines.after)
        events = events if lines.upto is None else up_to(events, lines.upto)
    if "download" in request.query:
        name = f"{view.project.slug}-{view.deployment.number}.log"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    async with aclosing(events):
        # The first event is there before the status line is sent, so a store that is away is still a 503.
        first = await anext(events)
        await response.prepare(request)
        reader = BodyReader(request, response, form)
        rest = _with_first(first, events)
        if follows:
            await attend(request.app[READERS], reader, rest, f"log of {view.deployment.id}")
        else:
            await reader.close(await deliver(reader, rest))
    return response


async def live(request: web.Request) -> web.StreamResponse:
    """The log's frames until its end. Closes 1000 at the end, 1013 on a client that is too slow."""
    sessions.check_origin(request, required=True)
    view = await _deployment(request)
    lines = _range(request)
    watch = await _watch(request, view)
    events = _follow(request, watch, lines)
    socket, reader = await SocketReader.open(request)
    if reader is not None:
        if lines.upto is None:
            watch.offer = reader.offer
        await attend(request.app[READERS], reader, events, f"log of {view.deployment.id}")
    return socket


async def _watch(request: web.Request, view: DeploymentView) -> Watch:
    user = await sessions.get_user(request)
    return Watch(view.deployment.id, view.project.id, user.id, await sessions.session_hash(request))


def _follow(request: web.Request, watch: Watch, lines: Range) -> AsyncGenerator[Event, None]:
    events = request.app[SERVICES].logs.follow(watch, after=lines.after)
    return events if lines.upto is None else up_to(events, lines.upto)


async def _with_first(first: Event, rest: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    yield first
    async for event in rest:
        yield event


async def _deployment(request: web.Request) -> DeploymentView:
    user = await sessions.get_user(request)
    return await request.app[SERVICES].deploys.get(user, deployment_id_of(request.match_info["deploymentID"]))


def _format(request: web.Request) -> Format:
    asked = request.query.get("format")
    if asked is not None:
        try:
            return Format(asked)
        except ValueError:
            raise MalformedRequest(f"format is one of {', '.join(Format)}.") from None
    accept = request.headers.get("Accept", "")
    if Format.EVENTS.content_type in accept:
        return Format.EVENTS
    return Format.TEXT if Format.TEXT.content_type in accept else Format.NDJSON


def _range(request: web.Request) -> Range:
    """What EventSource has seen counts before what the address says, which stays as it was."""
    after = _seq("after", request.headers.get("Last-Event-ID") or request.query.get("after", "0"))
    upto = _seq("upto", request.query["upto"]) if "upto" in request.query else None
    if upto is not None and upto <= after:
        raise MalformedRequest("upto is the number of the last line you want: more than after.")
    return Range(after, upto)


def _seq(name: str, text: str) -> int:
    if not _SEQ.fullmatch(text):
        raise MalformedRequest(f"{name} is the number of a line: 0 or more.")
    return int(text)
