"""A deployment's log: NDJSON, plain text, and live over a WebSocket."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from weakref import WeakSet

from aiohttp import WSCloseCode, WSMsgType, web

from scalemesh.artifacts.store import StoreUnavailable
from scalemesh.deploys import DeploymentView
from scalemesh.errors import LogClientTooSlow, MalformedRequest
from scalemesh.logs.follow import End, Event
from scalemesh.logs.hub import Watch, WatchEnded
from scalemesh.logs.lines import Batch, Gap
from scalemesh.model import Status
from scalemesh.web import sessions
from scalemesh.web.ids import deployment_id_of
from scalemesh.web.services import SERVICES

logger = logging.getLogger(__name__)


class Consoles(WeakSet[web.WebSocketResponse]):
    """The sockets that are open."""


CONSOLES = web.AppKey("consoles", Consoles)

_SEQ = re.compile(r"[0-9]{1,9}")
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
# A client that takes nothing for this long is not reading; it may come back with after=SEQ.
SEND_TIMEOUT_S = 8.0
# Browsers send pongs by themselves; one that doesn't is gone without having said so.
HEARTBEAT_S = 20.0
_MAX_CLIENT_MESSAGE_BYTES = 1024


async def read(request: web.Request) -> web.StreamResponse:
    """What there is now, from line ``after`` + 1: NDJSON, or text where Accept or ``format=text`` asks."""
    view = await _deployment(request)
    after = _after(request)
    plain = request.query.get("format") == "text" or "text/plain" in request.headers.get("Accept", "")
    response = web.StreamResponse()
    response.content_type = "text/plain" if plain else "application/x-ndjson"
    response.charset = "utf-8"
    if "download" in request.query:
        name = f"{view.project.slug}-{view.deployment.number}.log"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    events = request.app[SERVICES].logs.read(view.project.id, view.deployment.id, after=after)
    encode = _as_text if plain else _as_ndjson
    async with aclosing(events):
        # The first event is there before the status line is sent, so a store that is away is still a 503.
        first = await anext(events)
        await response.prepare(request)
        await response.write(encode(first).encode())
        async for event in events:
            await response.write(encode(event).encode())
    await response.write_eof()
    return response


async def live(request: web.Request) -> web.StreamResponse:
    """The log's frames until its end. Closes 1000 at the end, 1013 on a client that is too slow."""
    sessions.check_origin(request, required=True)
    view = await _deployment(request)
    after = _after(request)
    user = await sessions.get_user(request)
    watch = Watch(view.deployment.id, view.project.id, user.id, await sessions.session_hash(request))
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=_MAX_CLIENT_MESSAGE_BYTES)
    await socket.prepare(request)
    request.app[CONSOLES].add(socket)
    events = request.app[SERVICES].logs.follow(watch, after=after)
    sending = asyncio.create_task(_send(socket, events), name=f"log of {view.deployment.id}")
    try:
        # A client has nothing to say; reading is how its leaving is noticed.
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return socket


async def close_consoles(app: web.Application) -> None:
    """The server stops; consoles come back by themselves, perhaps to another one."""
    consoles = app[CONSOLES]
    for socket in list(consoles):
        await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the server restarts")


async def _send(socket: web.WebSocketResponse, events: AsyncIterator[Event]) -> None:
    code, reason = WSCloseCode.OK, b""
    try:
        async for event in events:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await socket.send_str(_as_frame(event))
    except (LogClientTooSlow, TimeoutError):
        code, reason = WSCloseCode.TRY_AGAIN_LATER, b"the log came faster than it was read"
    except WatchEnded:
        code, reason = WSCloseCode.POLICY_VIOLATION, b"the session has ended"
    except StoreUnavailable:
        code, reason = WSCloseCode.TRY_AGAIN_LATER, b"the log can't be read just now"
    except ConnectionError:
        return
    except Exception:
        logger.exception("a log console broke")
        code, reason = WSCloseCode.INTERNAL_ERROR, b""
    await socket.close(code=code, message=reason)


def _as_frame(event: Event) -> str:
    match event:
        case Batch():
            return event.frame
        case Gap():
            return json.dumps({"type": "gap", "from": event.first, "to": event.last})
        case End():
            return json.dumps({"type": "end", "status": event.status})
        case Status():
            return json.dumps({"type": "status", "status": event})


def _as_ndjson(event: Event) -> str:
    if isinstance(event, Batch):
        return "".join(
            json.dumps({"type": "line", **asdict(line)}, ensure_ascii=False) + "\n" for line in event.lines
        )
    return _as_frame(event) + "\n"


def _as_text(event: Event) -> str:
    match event:
        case Batch():
            return "".join(_COLOUR.sub("", line.text) + "\n" for line in event.lines)
        case Gap():
            return f"[lines {event.first} to {event.last} were left out]\n"
        case _:
            return ""


async def _deployment(request: web.Request) -> DeploymentView:
    user = await sessions.get_user(request)
    return await request.app[SERVICES].deploys.get(user, deployment_id_of(request.match_info["deploymentID"]))


def _after(request: web.Request) -> int:
    text = request.query.get("after", "0")
    if not _SEQ.fullmatch(text):
        raise MalformedRequest("after is the number of the last line you have: 0 or more.")
    return int(text)
