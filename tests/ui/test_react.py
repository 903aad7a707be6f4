"""The bundled React app, built by the real Vite and run by the real browser."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.parts.git import GitServer
from tests.parts.server import Client

pytestmark = [pytest.mark.browser, pytest.mark.registry]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/vite-react"


async def test_its_react_app_runs(chromium: Browser, user: Client, git_server: GitServer) -> None:
    """Waits for an install from the npm registry and a Vite build."""
    files = {
        str(path.relative_to(EXAMPLE)): path.read_bytes() for path in EXAMPLE.rglob("*") if path.is_file()
    }
    project = await user.project(await git_server.make_repo("vite-react", files))
    deployment_id = await user.deploy(project["projectID"])
    ended = await user.ended(deployment_id, within_s=120)
    assert ended["status"] == "ready", await user.log(deployment_id)
    assert ended["framework"] == "vite"

    page = await chromium.new_page()
    await page.goto(project["url"])
    count = page.get_by_test_id("count")
    await expect(count).to_contain_text("0")
    await count.click()
    await expect(count).to_contain_text("1")
    # A single-page app answers for its own routes.
    await page.goto(f"{project['url']}/some/route")
    await expect(page.get_by_test_id("count")).to_be_visible()
    await page.close()
