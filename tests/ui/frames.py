"""What a test has the console's socket say, where a real server's can't be timed."""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Page, WebSocketRoute

from tests.logs.build import Build

Line = dict[str, object]


def line(seq: int, text: str | None = None, phase: str = "build", stream: str = "stdout") -> Line:
    time = f"2026-01-01T00:00:{min(seq, 59):02}.000Z"
    text = f"line {seq}" if text is None else text
    return {"seq": seq, "time": time, "stream": stream, "phase": phase, "text": text}


def lines(*some: Line) -> str:
    return json.dumps({"type": "lines", "lines": some})


def numbered(first: int, last: int) -> str:
    return lines(*(line(seq) for seq in range(first, last + 1)))


def gap(first: int, last: int) -> str:
    return json.dumps({"type": "gap", "from": first, "to": last})


def end(status: str = "ready") -> str:
    return json.dumps({"type": "end", "status": status})


async def answered(
    page: Page, build: Build, answer: Callable[[WebSocketRoute, int], None], fragment: str = ""
) -> None:
    """The page of ``build``'s deployment. ``answer`` speaks for the socket, given its ``after``."""

    def connected(socket: WebSocketRoute) -> None:
        answer(socket, int(parse_qs(urlsplit(socket.url).query)["after"][0]))

    await page.route_web_socket(re.compile("/logs/live"), connected)
    await page.goto(f"/deployments/{build.deployment_id}{fragment}")


async def saying(page: Page, build: Build, *frames: str, fragment: str = "") -> WebSocketRoute:
    """The same with a socket that says ``frames`` and stays open for more."""
    opened: asyncio.Future[WebSocketRoute] = asyncio.get_running_loop().create_future()

    def answer(socket: WebSocketRoute, _: int) -> None:
        for frame in frames:
            socket.send(frame)
        if not opened.done():
            opened.set_result(socket)

    await answered(page, build, answer, fragment)
    async with asyncio.timeout(60):
        return await opened


async def numbers(page: Page) -> Sequence[int]:
    """Of the lines that are in the page."""
    found = await page.locator(".line[data-seq]").evaluate_all("rows => rows.map(row => +row.dataset.seq)")
    return [int(seq) for seq in found]
