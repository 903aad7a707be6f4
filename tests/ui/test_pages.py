"""The main job by mouse and keyboard, and what a form says about a mistake."""

import re
import secrets

import pytest
from playwright.async_api import Page, expect

from tests.parts.git import GitServer

pytestmark = pytest.mark.browser


async def _has_no_sideways_scroll(page: Page) -> bool:
    width = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    return bool(await page.evaluate(f"() => {width}"))


async def test_a_repository_is_deployed_and_opened_in_the_browser(
    member: Page, git_server: GitServer
) -> None:
    url = await git_server.make_repo("in-the-browser", {"index.html": "<title>Seen</title><h1>Seen</h1>"})
    await member.get_by_role("link", name="New project").click()
    await member.get_by_label("Name").fill(f"browser {secrets.token_hex(3)}")
    await member.get_by_label("Git repository").fill(url)
    assert await _has_no_sideways_scroll(member)
    await member.get_by_role("button", name="Save and deploy").click()

    await expect(member.get_by_role("heading", name="Deployment #1")).to_be_visible()
    await expect(member.get_by_role("log").get_by_role("heading", name="Clone")).to_be_visible()
    await expect(member.locator("#status")).to_have_text("Ready")
    await expect(member.get_by_text("This is live")).to_be_visible()
    await expect(member.locator("#log-connection")).to_have_text("The log is complete")
    assert await _has_no_sideways_scroll(member)

    await member.get_by_role("link", name="Open site").click()
    await expect(member.get_by_role("heading", name="Seen")).to_be_visible()


async def test_a_failed_build_says_why_and_is_told_without_a_reload(
    member: Page, git_server: GitServer
) -> None:
    await member.goto("/projects/new")
    await member.get_by_label("Name").fill(f"fails {secrets.token_hex(3)}")
    await member.get_by_label("Git repository").fill(git_server.url("there-is-none"))
    await member.get_by_role("button", name="Save and deploy").click()

    await expect(member.locator("#status")).to_have_text("Failed")
    await expect(member.locator("#failure h2")).not_to_be_empty()
    await expect(member.locator("#failure p")).not_to_be_empty()
    await expect(member.get_by_role("button", name="Redeploy", exact=True)).to_be_visible()
    await expect(member).to_have_title(re.compile("^Failed"))


async def test_a_project_is_deployed_with_the_keyboard_and_its_row_follows(
    member: Page, git_server: GitServer
) -> None:
    url = await git_server.make_repo("row-follows", {"index.html": "<title>Row</title>"})
    await member.goto("/projects/new")
    await expect(member.get_by_label("Name")).to_be_focused()
    await member.keyboard.type(f"row {secrets.token_hex(3)}")
    await member.keyboard.press("Tab")
    await member.keyboard.type(url)
    await member.get_by_role("button", name="Save", exact=True).press("Enter")
    await expect(member.get_by_text("No deployment yet")).to_be_visible()
    project = member.url
    await member.get_by_role("button", name="Deploy", exact=True).press("Enter")
    await expect(member.get_by_role("heading", name="Deployment #1")).to_be_visible()

    await member.goto(project)

    await expect(member.locator(".row .badge")).to_have_text("Ready")
    await expect(member.locator("#live a.button")).to_be_visible()

    await git_server.commit("row-follows", {"index.html": "<title>Other</title>"}, "Other", branch="feature")
    await member.get_by_text("Deploy another branch").click()
    await member.get_by_label("Branch, tag or commit").fill("feature")
    await member.get_by_role("button", name="Deploy preview").press("Enter")
    await expect(member.get_by_role("heading", name="Preview ready")).to_be_visible()
    assert await _has_no_sideways_scroll(member)
    await member.get_by_role("button", name="Promote to production").press("Enter")
    await expect(member.get_by_role("heading", name="This is live")).to_be_visible()


async def test_a_mistake_is_told_beside_its_field_and_keeps_what_was_typed(member: Page) -> None:
    await member.goto("/projects/new")
    await member.get_by_label("Name").fill("kept")
    await member.get_by_label("Git repository").fill("ftp://example.com/x")
    await member.get_by_text("Build settings").click()
    await member.get_by_label("Branch").fill("main")
    await member.get_by_role("button", name="Save", exact=True).click()

    wrong = member.get_by_label("Git repository")
    await expect(wrong).to_have_attribute("aria-invalid", "true")
    await expect(wrong).to_be_focused()
    await expect(wrong).to_have_accessible_description(re.compile("https"))
    await expect(wrong).to_have_value("ftp://example.com/x")
    await expect(member.get_by_label("Name")).to_have_value("kept")
    await expect(member.get_by_label("Branch")).to_have_value("main")


async def test_a_password_is_never_shown_again(page: Page) -> None:
    await page.goto("/signup")
    await page.get_by_label("Name").fill("Ada")
    await page.get_by_label("Email").fill("ada@example.com")
    await page.get_by_label("Password").fill("short")
    await page.get_by_role("button", name="Sign up").click()

    await expect(page.get_by_label("Email")).to_have_value("ada@example.com")
    await expect(page.get_by_label("Password")).to_have_value("")
    await expect(page.get_by_label("Password")).to_have_attribute("aria-invalid", "true")
    assert "short" not in await page.get_by_label("Password").evaluate("field => field.outerHTML")


async def test_a_wrong_name_to_confirm_keeps_the_project_and_its_settings(
    member: Page, git_server: GitServer
) -> None:
    await member.goto("/projects/new")
    await member.get_by_label("Name").fill(f"stays {secrets.token_hex(3)}")
    await member.get_by_label("Git repository").fill(git_server.url("stays"))
    await member.get_by_role("button", name="Save", exact=True).click()
    await member.get_by_role("link", name="Settings").click()
    await member.get_by_label(re.compile("^Type .* to confirm")).fill("something else")
    await member.get_by_role("button", name="Delete project").click()

    await expect(member.get_by_label(re.compile("^Type .* to confirm"))).to_be_focused()
    await expect(member.get_by_label("Git repository")).to_have_value(git_server.url("stays"))
