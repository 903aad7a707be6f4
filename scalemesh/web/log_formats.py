"""How a log's events look on the wire: WebSocket frames, server-sent events, NDJSON, plain text. Pure."""

import json
import re
from collections.abc import Callable, Mapping
from enum import StrEnum

from scalemesh.logs.follow import End, Event
from scalemesh.logs.lines import Batch, Gap
from scalemesh.model import Status

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")

# Where a browser's EventSource comes back after the end, its last id tells that it has everything.
ENDED_ID = "end"


class Format(StrEnum):
    """The values are those of ``format=`` in a query."""

    NDJSON = "ndjson"
    TEXT = "text"
    EVENTS = "events"

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES[self]

    def encoded(self, event: Event) -> bytes:
        return _ENCODERS[self](event)


def as_json(event: Event) -> bytes:
    """The payload of a WebSocket's frame: one JSON object."""
    match event:
        case Batch():
            return event.shape
        case Gap():
            shape: dict[str, object] = {"type": "gap", "from": event.first, "to": event.last}
        case End():
            shape = {"type": "end", "status": event.status}
        case Status():
            shape = {"type": "status", "status": event}
    return json.dumps(shape).encode()


def as_server_sent(event: Event) -> bytes:
    """The same object. Lines and gaps have an id, from which ``Last-Event-ID`` goes on."""
    match event:
        case Batch() | Gap():
            mark = b"id: %d\n" % event.last
        case End():
            mark = f"id: {ENDED_ID}\n".encode()
        case Status():
            mark = b""
    return b"%bdata: %b\n\n" % (mark, as_json(event))


def as_ndjson(event: Event) -> bytes:
    """An object for each line of the log, and for each other event."""
    if isinstance(event, Batch):
        return b"".join(b'{"type":"line",' + row[1:] + b"\n" for row in event.rows)
    return as_json(event) + b"\n"


def as_text(event: Event) -> bytes:
    """The lines alone, without colours."""
    match event:
        case Batch():
            return "".join(_COLOUR.sub("", text) + "\n" for text in event.texts).encode(errors="replace")
        case Gap():
            return f"[lines {event.first} to {event.last} were left out]\n".encode()
        case _:
            return b""


_CONTENT_TYPES: Mapping[Format, str] = {
    Format.NDJSON: "application/x-ndjson",
    Format.TEXT: "text/plain",
    Format.EVENTS: "text/event-stream",
}
_ENCODERS: Mapping[Format, Callable[[Event], bytes]] = {
    Format.NDJSON: as_ndjson,
    Format.TEXT: as_text,
    Format.EVENTS: as_server_sent,
}
