"""A log of a hundred thousand lines in the page: only what is near is in it, and all of it can be used."""

import pytest
from playwright.async_api import Page, expect

from tests.logs.build import Build
from tests.ui.frames import end, line, lines, numbered, saying

pytestmark = pytest.mark.browser

LINES = 100_000
# What is in sight and 800 px around it are some 110 lines; the rest is whole chunks at both ends of a jump.
ROWS_MAX = 600

# Kept up to date by the page, so that nothing between two looks is missed.
_COUNT_ROWS = """log => {
  const rows = log.getElementsByClassName('line');
  window.mostRows = rows.length;
  new MutationObserver(() => { window.mostRows = Math.max(window.mostRows, rows.length); })
    .observe(log, { childList: true, subtree: true });
}"""
# The lines in sight, from the first to the last; what is between them must be drawn.
_IN_SIGHT = """log => {
  const box = log.getBoundingClientRect();
  const at = (y) => document.elementFromPoint(box.left + 100, y)?.closest('.line')?.dataset.seq;
  return [at(box.top + 60), at(box.top + box.height / 2), at(box.bottom - 30)].map(Number);
}"""
_COPIED = """window.addEventListener('copy', (event) => {
  window.copied = event.clipboardData.getData('text/plain');
})"""


async def _in_sight(page: Page, *, near: int) -> None:
    """Waits until the lines around ``near`` are what is seen, from top to bottom."""
    await page.wait_for_function(
        f"near => {{ const seen = ({_IN_SIGHT})(document.getElementById('log'));"
        " return seen.every((seq) => Math.abs(seq - near) < 60); }",
        arg=near,
    )


async def _at_rest(page: Page) -> None:
    """Waits until nothing scrolls: the browser's own scrolling would go on over a place that is set."""
    await page.wait_for_function(
        "() => { const log = document.getElementById('log'), top = log.scrollTop;"
        " return new Promise((tell) => setTimeout(() => tell(log.scrollTop === top), 100)); }"
    )


async def test_only_what_is_near_is_in_the_page_wherever_the_reader_goes(console: Page, build: Build) -> None:
    frames = [numbered(first, first + 4999) for first in range(1, LINES, 5000)]
    await saying(console, build, *frames, end())
    log = console.locator("#log")
    await log.evaluate(_COUNT_ROWS)
    await expect(console.locator("#log-count")).to_have_text("100,000 lines")
    await _in_sight(console, near=LINES)

    await log.press("Home")
    await _in_sight(console, near=1)
    await log.hover()
    for turn in range(1, 6):
        await console.mouse.wheel(0, 2000)
        await _in_sight(console, near=turn * 100)
    for _ in range(3):
        await log.press("PageDown")
    await _at_rest(console)
    await log.evaluate("log => { log.scrollTop = log.scrollHeight / 2 }")
    await _in_sight(console, near=LINES // 2)
    await log.press("End")
    await _in_sight(console, near=LINES)
    await log.press("g")
    await _in_sight(console, near=1)
    await log.press("Shift+G")
    await _in_sight(console, near=LINES)

    await log.press("/")
    await console.keyboard.type("line 9999")
    await expect(console.locator("#log-search-count")).to_have_text("11 lines")
    # Seen from the end, the one before those in sight.
    await console.keyboard.press("Shift+Enter")
    await expect(console.locator("#log-search-count")).to_have_text("1 of 11")
    await expect(console.locator(".line.current")).to_have_attribute("data-seq", "9999")
    await expect(console.locator(".line.current")).to_be_in_viewport()
    await console.keyboard.press("Escape")
    await expect(console.locator("#log-search")).to_have_value("")
    assert await console.evaluate("window.mostRows") <= ROWS_MAX


async def test_what_is_selected_is_copied_also_where_it_is_not_drawn(console: Page, build: Build) -> None:
    await console.add_init_script(_COPIED)
    await saying(console, build, numbered(1, 2999), lines(line(3000, "")), numbered(3001, 3002), end())
    log = console.locator("#log")
    await expect(console.locator("#log-count")).to_have_text("3,002 lines")
    whole = [f"line {seq}" for seq in range(1, 3000)] + ["", "line 3001", "line 3002"]

    await log.press("g")
    await console.locator(".line[data-seq='2'] .text").click(position={"x": 1, "y": 8})
    await log.press("End")
    # Beside the end of the line: all of it.
    last = console.locator(".line[data-seq='3001'] .text")
    await last.click(modifiers=["Shift"], position={"x": 300, "y": 8})
    await console.keyboard.press("Control+c")
    assert (await console.evaluate("window.copied")).split("\n") == whole[1:3001]

    await log.press("Control+a")
    await log.press("Control+c")
    assert (await console.evaluate("window.copied")).split("\n") == whole


async def test_a_search_without_and_with_many_matches(console: Page, build: Build) -> None:
    await saying(console, build, numbered(1, 10_000), end())
    await expect(console.locator("#log-count")).to_have_text("10,000 lines")
    await console.locator("#log").press("/")
    await console.keyboard.type("nowhere")
    await expect(console.locator("#log-search-count")).to_have_text("No match")
    await expect(console.locator("#log-search-next")).to_be_disabled()

    await console.keyboard.press("Control+a")
    await console.keyboard.type("LINE")
    await expect(console.locator("#log-search-count")).to_have_text("10,000 lines")
    await console.locator("#log").press("g")
    await console.locator("#log-search").press("Enter")
    await expect(console.locator("#log-search-count")).to_have_text("1 of 10,000")
    await console.locator("#log-search-previous").click()
    await expect(console.locator("#log-search-count")).to_have_text("10,000 of 10,000")
    await expect(console.locator(".line.current")).to_have_attribute("data-seq", "10000")
    await expect(console.locator(".line.current")).to_be_in_viewport()
    assert await console.locator("#log mark").count() <= ROWS_MAX
