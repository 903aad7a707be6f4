"""A log as each kind of client gets it, in the one form that all of them can tell: text, line by line."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from enum import StrEnum
from typing import Any

import aiohttp

from tests.parts.server import Client

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


class Kind(StrEnum):
    SOCKET = "socket"
    EVENTS = "server-sent events"
    NDJSON = "ndjson"
    TEXT = "text"

    @property
    def headers(self) -> dict[str, str]:
        return _HEADERS[self]

    def path(self, deployment_id: str, query: str = "") -> str:
        here = f"/api/deployments/{deployment_id}/logs"
        return f"{here}/live?{query}" if self is Kind.SOCKET else f"{here}?follow=1&{query}"


_HEADERS = {
    Kind.SOCKET: UPGRADE,
    Kind.EVENTS: {"Accept": "text/event-stream"},
    Kind.NDJSON: {},
    Kind.TEXT: {"Accept": "text/plain"},
}


class BrokenOff(Exception):
    """It ended, and said that this is not the log's end."""


@asynccontextmanager
async def following(
    client: Client, kind: Kind, deployment_id: str, *, after: int = 0, upto: int | None = None
) -> AsyncIterator[AsyncGenerator[str, None]]:
    """The lines' texts, and a sentence for a gap. They end as the log does; raises BrokenOff."""
    query = f"after={after}" + ("" if upto is None else f"&upto={upto}")
    async with aclosing(_rows(client, kind, kind.path(deployment_id, query))) as rows:
        yield rows


async def take(rows: AsyncGenerator[str, None], count: int) -> list[str]:
    return [await anext(rows) for _ in range(count)]


async def _rows(client: Client, kind: Kind, path: str) -> AsyncGenerator[str, None]:
    if kind is Kind.SOCKET:
        async for frame in _socket(client, path):
            for row in told(frame):
                yield row
        return
    separator = b"\n\n" if kind is Kind.EVENTS else b"\n"
    async for piece in _pieces(client, path, kind.headers, separator):
        if kind is Kind.TEXT:
            yield piece
        else:
            data = piece.split("data: ", 1)[-1] if kind is Kind.EVENTS else piece
            for row in told(json.loads(data)):
                yield row


def told(event: dict[str, Any]) -> list[str]:
    """What a person reads of an event."""
    match event["type"]:
        case "lines":
            return [str(line["text"]) for line in event["lines"]]
        case "line":
            return [str(event["text"])]
        case "gap":
            return [f"[lines {event['from']} to {event['to']} were left out]"]
        case _:
            return []


async def _socket(client: Client, path: str) -> AsyncGenerator[dict[str, Any], None]:
    url = f"http://localhost:{client.port}{path}"
    async with client.session.ws_connect(url, origin=client.origin, max_msg_size=0) as opened:
        async for message in opened:
            yield message.json()
        if opened.close_code != 1000:
            raise BrokenOff(opened.close_code)


async def _pieces(
    client: Client, path: str, headers: dict[str, str], separator: bytes
) -> AsyncGenerator[str, None]:
    url = f"http://localhost:{client.port}{path}"
    rest = b""
    async with client.session.get(url, headers=headers) as response:
        if response.status == 503:
            raise BrokenOff("the server has nothing to read from")
        assert response.status == 200, await response.text()
        try:
            async for chunk in response.content.iter_any():
                *whole, rest = (rest + chunk).split(separator)
                for piece in whole:
                    yield piece.decode()
        except aiohttp.ClientError as error:
            raise BrokenOff(error) from error
    assert rest == b""
