"""A browser's page, logged out or logged in, that fails its test on any script error."""

import secrets
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.parts.server import PASSWORD, Client, Server
from tests.web.conftest import build

__all__ = ["build", "console", "member", "page"]


# For a machine that is ten times slower; who waits in vain fails anyway.
WAIT_MS = 60_000
expect.set_options(timeout=WAIT_MS)


@pytest.fixture
async def page(chromium: Browser, server: Server) -> AsyncIterator[Page]:
    """A page of somebody who isn't logged in, as wide as a phone: what fits there fits everywhere."""
    context = await chromium.new_context(
        base_url=f"http://localhost:{server.port}", viewport={"width": 390, "height": 844}
    )
    context.set_default_timeout(WAIT_MS)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    try:
        yield await context.new_page()
        assert errors == []
    finally:
        await context.close()


@pytest.fixture
async def member(page: Page) -> Page:
    """The page of somebody with a new account, at their projects."""
    await page.goto("/signup")
    await page.get_by_label("Name").fill("Ada")
    await page.get_by_label("Email").fill(f"user-{secrets.token_hex(6)}@example.com")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign up").click()
    await page.get_by_role("heading", name="Projects", exact=True).wait_for()
    return page


@pytest.fixture
async def console(page: Page, user: Client) -> Page:
    """A page of ``user``'s, whose deployments ``build`` is one of, with room for all of a short log."""
    cookies = [
        {"name": each.key, "value": each.value, "url": user.origin} for each in user.session.cookie_jar
    ]
    await page.context.add_cookies(cookies)  # type: ignore[arg-type]
    await page.set_viewport_size({"width": 1280, "height": 1000})
    return page
