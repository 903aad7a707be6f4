"""A deployment's log: NDJSON, plain text, and live over a WebSocket."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import WSCloseCode, WSMsgType, web
from redis.exceptions import RedisError

from scalemesh.artifacts.store import StoreUnavailable
from scalemesh.db.pool import UNAVAILABLE
from scalemesh.deploys import DeploymentView
from scalemesh.errors import DeploymentNotFound, LogClientTooSlow, MalformedRequest
from scalemesh.logs.follow import End, Event
from scalemesh.logs.hub import Watch, WatchEnded
from scalemesh.logs.lines import Batch, Gap, encode_json, line_shape
from scalemesh.model import Status
from scalemesh.tasks import end_tasks
from scalemesh.web import sessions
from scalemesh.web.ids import deployment_id_of
from scalemesh.web.services import SERVICES

logger = logging.getLogger(__name__)


_SEQ = re.compile(r"[0-9]{1,9}")
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
# A client that takes nothing for this long is not reading; it may come back with after=SEQ.
SEND_TIMEOUT_S = 8.0
# What a closing console has not taken by then, the close frame too, it never will.
CLOSE_TIMEOUT_S = 1.5
# Browsers send pongs by themselves; one that doesn't is gone without having said so.
HEARTBEAT_S = 20.0
_MAX_CLIENT_MESSAGE_BYTES = 1024

_AWAY: tuple[type[Exception], ...] = (StoreUnavailable, RedisError, *UNAVAILABLE)


class Console:
    """An open socket. ``transport`` is what it is on."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self._socket = socket
        self._transport = transport
        self.stopping = asyncio.Event()

    async def send(self, frame: str) -> None:
        """Raises TimeoutError where the client takes nothing, ConnectionError where it has left."""
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await self._socket.send_str(frame)

    async def receive(self) -> None:
        """Until the client leaves: it has nothing to say."""
        async for message in self._socket:
            if message.type is WSMsgType.ERROR:
                return

    async def close(self, code: WSCloseCode, reason: str) -> None:
        """In bounded time, whatever the client does. Nobody may be receiving."""
        # A connection with unsent data would end only once its client has taken them.
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self._transport.abort)
        await self._socket.close(code=code, message=reason.encode())


class Consoles(set[Console]):
    """Those that are open."""


CONSOLES = web.AppKey("consoles", Consoles)


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
    encode = _as_text if plain else _as_ndjson
    async with aclosing(
        request.app[SERVICES].logs.read(view.project.id, view.deployment.id, after=after)
    ) as events:
        # The first event is there before the status line is sent, so a store that is away is still a 503.
        first = await anext(events)
        await response.prepare(request)
        try:
            await _write(response, encode(first))
            async for event in events:
                await _write(response, encode(event))
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await response.write_eof()
        except ConnectionError:
            logger.debug("a client left in the middle of %s", request.path)
        except (TimeoutError, RedisError) as error:
            # The status is sent. A body that ends early, visibly, is all that is left to say.
            logger.warning("broke off %s: %r", request.path, error)
            response.force_close()
            if request.transport is not None:
                request.transport.abort()
    return response


async def live(request: web.Request) -> web.StreamResponse:
    """The log's frames until its end. Closes 1000 at the end, 1013 on a client that is too slow."""
    sessions.check_origin(request, required=True)
    view = await _deployment(request)
    after = _after(request)
    user = await sessions.get_user(request)
    watch = Watch(view.deployment.id, view.project.id, user.id, await sessions.session_hash(request))
    socket = web.WebSocketResponse(
        heartbeat=HEARTBEAT_S,
        max_msg_size=_MAX_CLIENT_MESSAGE_BYTES,
        timeout=CLOSE_TIMEOUT_S,
        # A compressor for each client takes more memory than all else that a console does.
        compress=False,
    )
    await socket.prepare(request)
    if request.transport is None:
        return socket
    console = Console(socket, request.transport)
    name = f"log of {view.deployment.id}"
    sending = asyncio.create_task(
        _send(console, request.app[SERVICES].logs.follow(watch, after=after)), name=name
    )
    others = [
        asyncio.create_task(console.receive(), name=f"{name}: receive"),
        asyncio.create_task(console.stopping.wait(), name=f"{name}: stop"),
    ]
    request.app[CONSOLES].add(console)
    try:
        await asyncio.wait([sending, *others], return_when=asyncio.FIRST_COMPLETED)
    finally:
        request.app[CONSOLES].discard(console)
        if sending.done() and not sending.cancelled():
            code, reason = sending.result()
        else:
            code, reason = WSCloseCode.GOING_AWAY, "the server restarts"
        await end_tasks(sending, *others)
        await console.close(code, reason)
    return socket


async def close_consoles(app: web.Application) -> None:
    """The server stops; consoles come back by themselves, perhaps to another one."""
    for console in app[CONSOLES]:
        console.stopping.set()


async def _send(console: Console, events: AsyncGenerator[Event, None]) -> tuple[WSCloseCode, str]:
    """To the end of the log, or as far as it goes; with what to close."""
    async with aclosing(events):
        try:
            async for event in events:
                try:
                    await console.send(_as_frame(event))
                except ConnectionError:
                    break
                except TimeoutError:
                    raise LogClientTooSlow("The client takes nothing.") from None
        except LogClientTooSlow:
            return WSCloseCode.TRY_AGAIN_LATER, "the log came faster than it was read"
        except WatchEnded:
            return WSCloseCode.POLICY_VIOLATION, "the session has ended"
        except DeploymentNotFound:
            return WSCloseCode.POLICY_VIOLATION, "the deployment is gone"
        except _AWAY as error:
            logger.warning("a log console is closed: %r", error)
            return WSCloseCode.TRY_AGAIN_LATER, "the log can't be read just now"
        except Exception:
            logger.exception("a log console broke")
            return WSCloseCode.INTERNAL_ERROR, ""
    return WSCloseCode.OK, ""


async def _write(response: web.StreamResponse, text: str) -> None:
    """Raises TimeoutError where the client takes nothing, ConnectionError where it has left."""
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await response.write(text.encode())


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
        return "".join(encode_json({"type": "line", **line_shape(line)}) + "\n" for line in event.lines)
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
