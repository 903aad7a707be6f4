"""The log console: every line once, whatever happens to the connection, and the reader's place kept."""

import asyncio
import re
import secrets

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from scalemesh.model import Status
from tests.logs.build import Build
from tests.logs.build import lines as stored
from tests.parts.git import GitServer
from tests.parts.server import Client
from tests.ui.frames import answered, end, gap, line, lines, numbered, numbers, saying

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("code", [1011, 1013])
async def test_a_cut_connection_loses_and_doubles_no_line(console: Page, build: Build, code: int) -> None:
    asked: list[int] = []
    cut: list[asyncio.Future[None]] = []

    def answer(socket: WebSocketRoute, after: int) -> None:
        asked.append(after)
        if after == 0:
            socket.send(numbered(1, 20))
            cut.append(asyncio.ensure_future(socket.close(code=code)))
        else:
            # Overlaps on purpose: what is here already must not come twice.
            socket.send(numbered(15, 40))
            socket.send(end())

    await answered(console, build, answer)

    await expect(console.locator("#log-connection")).to_have_text("The log is complete")
    assert asked == [0, 20]
    await expect(console.locator("#log-count")).to_have_text("40 lines")
    assert await numbers(console) == list(range(1, 41))


async def test_a_missing_line_is_never_hidden(console: Page, build: Build) -> None:
    await saying(
        console, build, numbered(1, 2), gap(3, 9), numbered(10, 11), numbered(15, 15), gap(16, 16), end()
    )

    await expect(console.locator(".line.gap")).to_contain_text(
        ["Lines 3 to 9 are not here.", "Lines 12 to 14 are not here.", "Line 16 is not here."]
    )


async def test_scrolling_up_pauses_and_the_button_leads_back(console: Page, build: Build) -> None:
    socket = await saying(console, build, numbered(1, 200))
    await expect(console.locator(".line[data-seq='200']")).to_be_in_viewport()
    top = await console.locator("#log").evaluate("log => log.scrollTop") - 600
    await console.locator("#log").hover()
    await console.mouse.wheel(0, -600)
    await expect(console.locator("#log-follow")).to_have_attribute("aria-pressed", "false")
    # A smooth scroll goes on for a while.
    await console.wait_for_function(f"document.getElementById('log').scrollTop === {top}")

    socket.send(numbered(201, 1230))

    await expect(console.locator("#log-jump")).to_have_text("1,030 new lines · Jump to end")
    assert await console.locator("#log").evaluate("log => log.scrollTop") == top
    await console.locator("#log-jump").click()
    await expect(console.locator(".line[data-seq='1230']")).to_be_in_viewport()
    await expect(console.locator("#log-jump")).to_be_hidden()
    await expect(console.locator("#log")).to_be_focused()


async def test_a_match_near_the_end_stays_in_sight_while_the_log_grows(console: Page, build: Build) -> None:
    socket = await saying(console, build, numbered(1, 200))
    await expect(console.locator(".line[data-seq='200']")).to_be_in_viewport()
    await console.locator("#log").press("/")
    await console.keyboard.type("line 199")
    await console.keyboard.press("Enter")
    await expect(console.locator("#log-follow")).to_have_attribute("aria-pressed", "false")

    socket.send(numbered(201, 400))

    await expect(console.locator("#log-count")).to_have_text("400 lines")
    await expect(console.locator(".line.current")).to_have_attribute("data-seq", "199")
    await expect(console.locator(".line.current")).to_be_in_viewport()
    await expect(console.locator("#log-jump")).to_contain_text("new lines")


async def test_a_flood_is_followed_to_its_last_line(console: Page, build: Build) -> None:
    socket = await saying(console, build)
    for first in range(1, 20_001, 50):
        socket.send(numbered(first, first + 49))

    await expect(console.locator("#log-count")).to_have_text("20,000 lines")
    await expect(console.locator(".line[data-seq='20000']")).to_be_in_viewport()
    await expect(console.locator("#log-follow")).to_have_attribute("aria-pressed", "true")


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
    await expect(member.locator("#failure")).to_contain_text("API_TOKEN, which is not set")
    await expect(member.locator("#failure")).to_contain_text("Add API_TOKEN under Settings")

    # Who followed the build is led there when it fails, and whoever opens it later too; nobody has to click.
    line = member.locator(".line.current")
    failed = member.locator(".step[data-outcome='failed']")
    for _ in range(2):
        await expect(line).to_contain_text("Error: API_TOKEN is not set")
        await expect(line).to_be_in_viewport()
        await expect(failed.get_by_role("button")).to_have_attribute("aria-expanded", "true")
        await expect(failed).to_contain_text("Build failed")
        await member.reload()
    await expect(line).to_be_in_viewport()
    await member.locator("#log").press("End")
    await expect(line).not_to_be_in_viewport()
    await member.get_by_role("link", name=re.compile(r"Line \d+ of the log")).click()
    await expect(line).to_be_in_viewport()


async def test_a_click_on_a_number_links_to_the_line_and_with_shift_to_a_range(
    console: Page, build: Build
) -> None:
    await saying(console, build, numbered(1, 300), end())
    await expect(console.locator("#log-count")).to_have_text("300 lines")
    await console.locator("#log").press("g")
    await console.locator(".line[data-seq='3'] .nr").click()
    await expect(console).to_have_url(re.compile("#L3$"))
    await console.locator(".line[data-seq='6'] .nr").click(modifiers=["Shift"])
    await expect(console).to_have_url(re.compile("#L3-L6$"))
    await expect(console.locator(".line.linked")).to_have_count(4)

    await console.goto(f"{console.url.split('#')[0]}#L220-L230")
    await console.reload()
    await expect(console.locator(".line[data-seq='220']")).to_be_in_viewport()
    await expect(console.locator(".line.linked")).to_have_count(11)


async def test_a_link_to_a_line_that_is_not_there_says_so(console: Page, build: Build) -> None:
    await build.archive(stored(1, 30))
    await build.mark(Status.READY)
    await console.goto(f"/deployments/{build.deployment_id}#L5000")

    await expect(console.locator("#log-note")).to_have_text(
        "There is no line 5,000: the log ends with line 30."
    )


@pytest.mark.parametrize(("status", "seen"), [(Status.READY, 1), (Status.FAILED, 3000)])
async def test_a_finished_log_opens_where_it_is_of_use(
    console: Page, build: Build, status: Status, seen: int
) -> None:
    await build.archive(stored(1, 3000))
    await build.mark(status)
    await console.goto(f"/deployments/{build.deployment_id}")

    await expect(console.locator("#log-connection")).to_have_text("The log is complete")
    await expect(console.locator(f".line[data-seq='{seen}']")).to_be_in_viewport()
    # A finished step has no clock that runs on.
    await expect(console.locator(".step-time")).to_have_text("0.0 s")


async def test_keys_work_the_log_and_rest_while_their_list_is_open(console: Page, build: Build) -> None:
    await saying(console, build, numbered(1, 300), end())
    log = console.locator("#log")
    await log.press("?")
    keys = console.get_by_role("dialog", name="Keys for the log")
    await expect(keys).to_be_visible()
    await console.keyboard.press("w")
    await console.keyboard.press("Escape")
    await expect(keys).to_be_hidden()
    await expect(log).to_be_focused()
    await expect(console.locator("#log-wrap")).to_have_attribute("aria-pressed", "true")

    await console.keyboard.press("w")
    await expect(console.locator("#log-wrap")).to_have_attribute("aria-pressed", "false")
    await console.keyboard.press("t")
    await expect(console.locator(".line[data-seq='300'] .at")).to_be_visible()
    await console.keyboard.press("f")
    await expect(console.locator("#log-follow")).to_have_attribute("aria-pressed", "false")
    await console.keyboard.press("e")
    await expect(console.locator("#log-note")).to_have_text("No line of the log speaks of an error.")


PHASES = ("clone", "install", "build", "publish")


def _phases(each: int) -> str:
    """A log of a build with ``each`` lines in every phase."""
    some = [line(seq, phase=PHASES[(seq - 1) // each]) for seq in range(1, each * len(PHASES) + 1)]
    some[each * 2 + 5]["text"] = "src/app.js: error: no such module"
    return lines(*some)


async def test_steps_that_succeeded_are_folded_at_the_end_and_an_error_is_found_in_them(
    console: Page, build: Build
) -> None:
    socket = await saying(console, build, _phases(60))
    headers = console.locator(".step-head button")
    await expect(headers).to_have_count(4)
    await expect(headers.first).to_have_attribute("aria-expanded", "true")
    socket.send(end("failed"))
    for index, expanded in enumerate(["false", "false", "false", "true"]):
        await expect(headers.nth(index)).to_have_attribute("aria-expanded", expanded)

    await console.locator("#log").press("e")
    await expect(console.locator(".line.current")).to_have_attribute("data-seq", "126")
    await expect(console.locator(".line.current")).to_be_in_viewport()
    await expect(headers.nth(2)).to_have_attribute("aria-expanded", "true")


async def test_a_link_into_a_folded_step_opens_it_and_no_other(console: Page, build: Build) -> None:
    await saying(console, build, _phases(60), end(), fragment="#L70")

    await expect(console.locator(".line.current")).to_have_attribute("data-seq", "70")
    await expect(console.locator(".line.current")).to_be_in_viewport()
    for index, expanded in enumerate(["false", "true", "false", "false"]):
        await expect(console.locator(".step-head button").nth(index)).to_have_attribute(
            "aria-expanded", expanded
        )


async def test_the_console_fills_the_window_and_comes_back(console: Page, build: Build) -> None:
    await saying(console, build, numbered(1, 20), end())
    await expect(console.locator("#log-count")).to_have_text("20 lines")
    await console.locator("#log-full").click()
    await expect(console.locator("#log-full")).to_have_attribute("aria-pressed", "true")
    box = await console.locator("#console").bounding_box()
    assert box is not None
    assert console.viewport_size is not None
    assert (box["width"], box["height"]) == (console.viewport_size["width"], console.viewport_size["height"])
    await console.locator("#log").press("Escape")
    await expect(console.locator("#log-full")).to_have_attribute("aria-pressed", "false")


async def test_a_log_out_elsewhere_is_said_in_words_with_a_way_back(
    console: Page, build: Build, user: Client
) -> None:
    await console.goto(f"/deployments/{build.deployment_id}")
    await build.write(stored(1, 3))
    await expect(console.locator(".line[data-seq='3']")).to_be_visible()
    await user.post("/user/logout")

    connection = console.locator("#log-connection")
    await expect(connection).to_have_text("You are logged out. Log in again to go on.")
    await expect(connection.get_by_role("link")).to_have_attribute("href", re.compile("^/login\\?next="))
    assert await numbers(console) == [1, 2, 3]


async def test_offline_and_a_deployment_deleted_meanwhile_are_said_in_words(
    console: Page, build: Build, user: Client
) -> None:
    await console.goto(f"/deployments/{build.deployment_id}")
    connection = console.locator("#log-connection")
    await expect(connection).to_have_text("Live")
    await console.context.set_offline(True)
    await expect(connection).to_have_text("You are offline. The log goes on when you are back.")
    answer = await user.request("DELETE", f"/api/projects/{build.project_id}")
    assert answer.status < 300, answer.text
    await console.context.set_offline(False)

    words = "This deployment is no longer there for you."
    await expect(connection).to_have_text(words)
    await expect(console.locator("#log-empty")).to_have_text(words)
