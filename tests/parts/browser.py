"""Chromium, driven by Playwright."""

import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright

# The headless shell is the same engine without a browser around it, and takes half of the processor time.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

ARGUMENTS = [
    "--no-sandbox",  # the sandbox does not start as root, and every page here is ours
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> str:
    executable = next(filter(None, map(shutil.which, _NAMES)), None)
    if executable is None:
        pytest.fail("The browser tests need Chromium. On Debian: apt-get install chromium")
    return executable


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for a worker. A test opens a context of its own: ``await chromium.new_context()``."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()
