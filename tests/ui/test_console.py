"""The log console: every line once, whatever happens to the connection, and hostile text as text."""

import asyncio
import json
import re
import secrets
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from tests.parts.git import GitServer

pytestmark = pytest.mark.browser

Line = dict[str, object]


def _line(seq: int, text: str | None = None, phase: str = "build", stream: str = "stdout") -> Line:
    time = f"2026-01-01T00:00:{min(seq, 59):02}.000Z"
    return {"seq": seq, "time": time, "stream": stream, "phase": phase, "text": text or f"line {seq}"}


def _lines(first: int, last: int) -> str:
    return json.dumps({"type": "lines", "lines": [_line(seq) for seq in range(first, last + 1)]})


END = json.dumps({"type": "end", "status": "ready"})


async def _open_console(page: Page, git: GitServer, answer: Callable[[WebSocketRoute, int], None]) -> None:
    """A real deployment's page, whose socket ``answer`` speaks for: the only way to time its faults."""
    # The repository is not there, so the deployment ends by itself and soon: all of the log is to be on the
    # screen also below what a failed one says of itself.
    await page.set_viewport_size({"width": 1280, "height": 1000})
    await page.goto("/projects/new")
    await page.get_by_label("Name").fill(f"console {secrets.token_hex(3)}")
    await page.get_by_label("Git repository").fill(git.url("no-such"))

    def connected(socket: WebSocketRoute) -> None:
        answer(socket, int(parse_qs(urlsplit(socket.url).query)["after"][0]))

    await page.route_web_socket(re.compile("/logs/live"), connected)
    await page.get_by_role("button", name="Save and deploy").click()
    await page.get_by_role("heading", name="Deployment #1").wait_for()


async def _seqs(page: Page) -> list[int]:
    found = await page.locator(".line[data-seq]").evaluate_all("rows => rows.map(row => +row.dataset.seq)")
    return [int(seq) for seq in found]


async def test_a_cut_connection_loses_and_doubles_no_line(member: Page, git_server: GitServer) -> None:
    asked: list[int] = []
    cut: list[asyncio.Future[None]] = []

    def answer(socket: WebSocketRoute, after: int) -> None:
        asked.append(after)
        if after == 0:
            socket.send(_lines(1, 20))
            cut.append(asyncio.ensure_future(socket.close(code=1011)))
        else:
            # Overlaps on purpose: what is here already must not come twice.
            socket.send(_lines(15, 40))
            socket.send(END)

    await _open_console(member, git_server, answer)

    await expect(member.locator("#log-connection")).to_have_text("The log is complete")
    assert asked == [0, 20]
    await expect(member.locator("#log-count")).to_have_text("40 lines")
    assert await _seqs(member) == list(range(1, 41))


async def test_a_missing_line_is_never_hidden(member: Page, git_server: GitServer) -> None:
    def answer(socket: WebSocketRoute, _: int) -> None:
        socket.send(_lines(1, 2))
        socket.send(json.dumps({"type": "gap", "from": 3, "to": 9}))
        socket.send(_lines(10, 11))
        socket.send(_lines(15, 15))
        socket.send(END)

    await _open_console(member, git_server, answer)

    await expect(member.locator(".line.gap").nth(0)).to_contain_text("Lines 3 to 9 are not here.")
    await expect(member.locator(".line.gap").nth(1)).to_contain_text("Lines 12 to 14 are not here.")


async def test_hostile_text_stays_text(member: Page, git_server: GitServer) -> None:
    hostile = [
        "<img src=x onerror=alert(1)>",
        "\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07",
        "\x1b[2J\x1b[Hnot cleared",
        "abc\u202egnp.exe",
        "javascript:alert(1) data:text/html,x https://example.com/a.",
        "\x1b[31mred \x1b[1mbold\x1b[0m plain \x1b[38;5;208morange",
    ]

    def answer(socket: WebSocketRoute, _: int) -> None:
        lines = [_line(seq, text) for seq, text in enumerate(hostile, 1)]
        socket.send(json.dumps({"type": "lines", "lines": lines}))
        socket.send(END)

    await _open_console(member, git_server, answer)

    texts = member.locator(".line .text")
    await expect(texts).to_have_text(
        [
            "<img src=x onerror=alert(1)>",
            "click",
            "not cleared",
            "abc<U+202E>gnp.exe",
            "javascript:alert(1) data:text/html,x https://example.com/a.",
            "red bold plain orange",
        ]
    )
    assert await member.locator(".log img").count() == 0
    link = member.locator(".log .text a")
    await expect(link).to_have_count(1)
    await expect(link).to_have_attribute("href", "https://example.com/a")
    await expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
    await expect(member.locator(".fg-1.bold, .bold.fg-1")).to_have_text("bold")


async def test_twenty_thousand_lines_are_searched_and_only_the_near_ones_are_in_the_page(
    member: Page, git_server: GitServer
) -> None:
    def answer(socket: WebSocketRoute, _: int) -> None:
        for first in range(1, 20_001, 1000):
            socket.send(_lines(first, first + 999))

    await _open_console(member, git_server, answer)
    await expect(member.locator("#log-count")).to_have_text("20,000 lines")
    await expect(member.locator(".line[data-seq='20000']")).to_be_in_viewport()

    await member.keyboard.press("/")
    await member.keyboard.type("line 12345")
    await member.keyboard.press("Enter")

    await expect(member.locator("#log-search-count")).to_have_text("1 of 1")
    await expect(member.locator(".line.current")).to_have_attribute("data-seq", "12345")
    await expect(member.locator(".line.current")).to_be_in_viewport()
    await expect(member.locator("#log-follow")).to_have_attribute("aria-pressed", "false")
    assert await member.locator(".line").count() < 1000
    await member.keyboard.press("Escape")
    await expect(member.locator("#log-search")).to_have_value("")


async def test_scrolling_up_pauses_and_the_button_leads_back(member: Page, git_server: GitServer) -> None:
    sockets: list[WebSocketRoute] = []

    def answer(socket: WebSocketRoute, _: int) -> None:
        sockets.append(socket)
        socket.send(_lines(1, 200))

    await _open_console(member, git_server, answer)
    await expect(member.locator(".line[data-seq='200']")).to_be_in_viewport()
    await member.locator("#log").hover()
    await member.mouse.wheel(0, -600)
    await expect(member.locator("#log-follow")).to_have_attribute("aria-pressed", "false")

    sockets[0].send(_lines(201, 230))

    await expect(member.locator("#log-jump")).to_have_text("30 new lines · Jump to end")
    await expect(member.locator(".line[data-seq='230']")).not_to_be_in_viewport()
    await member.locator("#log-jump").click()
    await expect(member.locator(".line[data-seq='230']")).to_be_in_viewport()
    await expect(member.locator("#log-jump")).to_be_hidden()


async def test_a_failed_build_leads_to_the_line_that_says_why(member: Page, git_server: GitServer) -> None:
    build = "seq 40; echo 'Error: API_TOKEN is not set'; seq 300; exit 1"
    name = f"explained-{secrets.token_hex(3)}"
    url = await git_server.make_repo(name, {"index.html": "hi", "build.sh": build})
    await member.goto("/projects/new")
    await member.get_by_label("Name").fill(name)
    await member.get_by_label("Git repository").fill(url)
    await member.get_by_text("Build settings").click()
    await member.get_by_label("Build command").fill("sh build.sh")
    await member.get_by_role("button", name="Save and deploy").click()
    await expect(member.locator("#failure")).to_contain_text("API_TOKEN, which is not set", timeout=20_000)
    await expect(member.locator("#failure")).to_contain_text("Add API_TOKEN under Settings")

    await member.get_by_role("link", name=re.compile(r"Line \d+ of the log")).click()
    line = member.locator(".line.current")
    await expect(line).to_contain_text("Error: API_TOKEN is not set")
    await expect(line).to_be_in_viewport()
    await member.reload()
    await expect(line).to_contain_text("Error: API_TOKEN is not set")
    await expect(line).to_be_in_viewport()


PHASES = ("clone", "install", "build", "publish")


def _phases(each: int) -> str:
    """A log of a build with ``each`` lines in every phase."""
    lines = [_line(seq, phase=PHASES[(seq - 1) // each]) for seq in range(1, each * len(PHASES) + 1)]
    lines[each * 2 + 5]["text"] = "src/app.js: error: no such module"
    return json.dumps({"type": "lines", "lines": lines})


async def test_a_click_on_a_number_links_to_the_line_and_with_shift_to_a_range(
    member: Page, git_server: GitServer
) -> None:
    def answer(socket: WebSocketRoute, _: int) -> None:
        socket.send(_lines(1, 300))
        socket.send(END)

    await _open_console(member, git_server, answer)
    await expect(member.locator("#log-count")).to_have_text("300 lines")
    await member.locator("#log").focus()
    await member.keyboard.press("g")
    await member.locator(".line[data-seq='3'] .nr").click()
    assert urlsplit(member.url).fragment == "L3"
    await member.locator(".line[data-seq='6'] .nr").click(modifiers=["Shift"])
    assert urlsplit(member.url).fragment == "L3-L6"
    await expect(member.locator(".line.linked")).to_have_count(4)

    await member.goto(f"{member.url.split('#')[0]}#L220-L230")
    await member.reload()
    await expect(member.locator(".line[data-seq='220']")).to_be_in_viewport()
    await expect(member.locator(".line.linked")).to_have_count(11)


async def test_steps_that_succeeded_are_folded_at_the_end_and_an_error_is_found_in_them(
    member: Page, git_server: GitServer
) -> None:
    sockets: list[WebSocketRoute] = []

    def answer(socket: WebSocketRoute, _: int) -> None:
        sockets.append(socket)
        socket.send(_phases(60))

    await _open_console(member, git_server, answer)
    headers = member.locator(".step-head button")
    await expect(headers).to_have_count(4)
    await expect(headers.first).to_have_attribute("aria-expanded", "true")
    sockets[0].send(json.dumps({"type": "end", "status": "failed"}))
    for index, expanded in enumerate(["false", "false", "false", "true"]):
        await expect(headers.nth(index)).to_have_attribute("aria-expanded", expanded)

    await member.locator("#log").focus()
    await member.keyboard.press("e")
    await expect(member.locator(".line.current")).to_have_attribute("data-seq", "126")
    await expect(member.locator(".line.current")).to_be_in_viewport()
    await expect(headers.nth(2)).to_have_attribute("aria-expanded", "true")


async def test_the_console_fills_the_window_and_comes_back(member: Page, git_server: GitServer) -> None:
    def answer(socket: WebSocketRoute, _: int) -> None:
        socket.send(_lines(1, 20))
        socket.send(END)

    await _open_console(member, git_server, answer)
    await expect(member.locator("#log-count")).to_have_text("20 lines")
    await member.locator("#log-full").click()
    await expect(member.locator("#log-full")).to_have_attribute("aria-pressed", "true")
    box = await member.locator("#console").bounding_box()
    assert box is not None
    assert member.viewport_size is not None
    assert (box["width"], box["height"]) == (member.viewport_size["width"], member.viewport_size["height"])
    await member.locator("#log").focus()
    await member.keyboard.press("Escape")
    await expect(member.locator("#log-full")).to_have_attribute("aria-pressed", "false")
