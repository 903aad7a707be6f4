"""What a newcomer does, in a real browser."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.parts.git import GitServer
from tests.parts.server import PASSWORD, Server
from tests.ui.conftest import WAIT_MS

pytestmark = pytest.mark.browser

APP = """<!doctype html><title>Counter</title><div id="root"></div>
<script type="module" src="/assets/app-4f3c2a1b.js"></script>"""
SCRIPT = "document.getElementById('root').innerHTML = '<h1>Hello from the app</h1>'"


STEP_2 = "printf '\\033[32mstep 2\\033[0m\\n'; echo '<img src=x onerror=alert(1)>'"


def build_until(branch: str, url: str, *, before: str, after: str) -> str:
    """A build that goes on with ``after`` once the repository has ``branch``: when somebody has looked."""
    return f"{before}; until git ls-remote --exit-code {url} {branch} >/dev/null; do sleep 0.1; done; {after}"


@pytest.fixture
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    context = await chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WAIT_MS)
    yield context
    await context.close()


@pytest.fixture
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """A page on which a script's error, or something the page's policy blocks, fails the test."""
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if _is_error(message) else None)
    yield page
    assert errors == []


def _is_error(message: ConsoleMessage) -> bool:
    # Chromium also reports every answer of 400 and above, which some tests are about.
    return message.type == "error" and not message.text.startswith("Failed to load resource")


async def sign_up(page: Page, server: Server, email: str) -> None:
    await page.goto(f"http://localhost:{server.port}/")
    await page.get_by_role("link", name="Sign up").first.click()
    await page.get_by_label("Name").fill("Ada")
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="No project yet")).to_be_visible()


async def save_and_deploy(page: Page, name: str, git_url: str, command: str) -> None:
    """Fills in the form of a new project, which is open."""
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Git repository").fill(git_url)
    await page.get_by_text("Build settings").click()
    await page.get_by_label("Build command").fill(command)
    await page.get_by_role("button", name="Save and deploy").click()


async def test_a_newcomer_signs_up_deploys_a_repository_watches_it_and_opens_the_site(
    page: Page, server: Server, git_server: GitServer
) -> None:
    url = await git_server.make_repo("journey", {"index.html": APP, "assets/app-4f3c2a1b.js": SCRIPT})
    await sign_up(page, server, "journey@example.com")

    await page.get_by_role("link", name="New project").first.click()
    await save_and_deploy(page, "Journey", url, build_until("seen", url, before="echo step 1", after=STEP_2))

    await expect(page).to_have_url(re.compile(r"/deployments/[a-z0-9]{12}$"))
    log = page.get_by_role("log")
    await expect(log).to_contain_text("step 1")
    await expect(page.locator("#status")).to_have_text("Building")
    await git_server.commit("journey", {"seen": ""}, "Go on", branch="seen")
    await expect(page.locator("#status")).to_have_text("Ready")
    # Steps that succeeded are folded by then.
    await log.get_by_role("button", name="Build", expanded=False).click()
    await expect(log).to_contain_text("step 2")
    await expect(log).to_contain_text("<img src=x onerror=alert(1)>")
    assert await log.locator("img").count() == 0

    await page.get_by_role("link", name="Open site").click()
    await expect(page).to_have_url(f"http://journey.localhost:{server.port}/")
    await expect(page.get_by_role("heading", name="Hello from the app")).to_be_visible()


async def test_a_failed_build_says_why_beside_its_log_without_a_reload(
    page: Page, server: Server, git_server: GitServer
) -> None:
    url = await git_server.make_repo("fails-in-the-browser", {"index.html": APP})
    await sign_up(page, server, "failing@example.com")
    await page.goto(f"http://localhost:{server.port}/projects/new")
    await save_and_deploy(page, "Failing", url, "echo about to fail; sleep 0.5; exit 3")

    await expect(page.locator("#status")).to_have_text("Failed")
    await expect(page.locator("#failure")).to_be_visible()
    await expect(page.locator("#failure")).to_contain_text("3")
    await expect(page.get_by_role("log")).to_contain_text("about to fail")


async def test_the_log_comes_back_whole_after_the_connection_was_lost(
    page: Page, context: BrowserContext, server: Server, git_server: GitServer
) -> None:
    url = await git_server.make_repo("reconnects", {"index.html": APP})
    await sign_up(page, server, "reconnect@example.com")
    await page.goto(f"http://localhost:{server.port}/projects/new")
    numbered = "for i in $(seq {} {}); do echo line-$i-; done"
    command = build_until("lost", url, before=numbered.format(1, 30), after=numbered.format(31, 60))
    await save_and_deploy(page, "Reconnects", url, command)
    log = page.get_by_role("log")
    await expect(log).to_contain_text("line-30-")

    await context.set_offline(True)
    await expect(page.locator("#log-connection")).to_contain_text("You are offline")
    await git_server.commit("reconnects", {"lost": ""}, "Go on", branch="lost")
    await context.set_offline(False)

    await expect(page.locator("#status")).to_have_text("Ready")
    await log.get_by_role("button", name="Build", expanded=False).click()
    await expect(log.get_by_text(re.compile(r"^line-\d+-$"))).to_have_text(
        [f"line-{n}-" for n in range(1, 61)]
    )


async def test_no_page_scrolls_sideways(page: Page, server: Server) -> None:
    await sign_up(page, server, "narrow@example.com")
    for path in ("/", "/projects/new", "/account", "/nothing-here"):
        await page.goto(f"http://localhost:{server.port}{path}")
        for width in (390, 1280):
            await page.set_viewport_size({"width": width, "height": 844})
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme)
                assert await page.evaluate("document.documentElement.scrollWidth") <= width, (path, scheme)


async def test_everything_can_be_done_with_the_keyboard(page: Page, server: Server) -> None:
    await sign_up(page, server, "keyboard@example.com")
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip-link")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="New project")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Name")).to_be_focused()
    await page.keyboard.type("Keys")
    await page.keyboard.press("Tab")
    await page.keyboard.type("nonsense")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Git repository")).to_be_focused()
    await expect(page.get_by_label("Git repository")).to_have_value("nonsense")
    await expect(page.get_by_label("Name")).to_have_value("Keys")
