"""Output that means harm or is merely odd, in the browser. CASES.md, "Logs", names the classes."""

import itertools

import pytest
from playwright.async_api import Page, expect

from builder.kept import HEAD_LINES, TAIL_LINES, KeptLines
from builder.log import Line, Origin, Phase, Stream
from tests.logs.build import Build
from tests.ui.frames import end, gap, line, lines, numbered, saying

pytestmark = pytest.mark.browser

# What a builder would have dropped is here too: the page trusts nobody.
AS_SHOWN = {
    "<img src=x onerror=alert(1)>": "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>": "<script>alert(1)</script>",
    "\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07": "click",
    "\x1b]52;c;cm0gLXJm\x07clipboard": "clipboard",
    "\x1b[2J\x1b[Hnot cleared": "not cleared",
    "50%\rover\r": "50%^Mover",
    "abc\u202egnp.exe": "abc<U+202E>gnp.exe",
    "half an escape \x1b": "half an escape ^[",
    "and its rest [31m": "and its rest [31m",
    "javascript:alert(1) data:text/html,x https://example.com/a.": (
        "javascript:alert(1) data:text/html,x https://example.com/a."
    ),
    "\x1b[31mred \x1b[1mbold\x1b[0m plain \x1b[38;5;208morange": "red bold plain orange",
    "TOKEN=***": "TOKEN=***",
}


async def test_hostile_text_stays_text(console: Page, build: Build) -> None:
    await saying(console, build, lines(*(line(seq, text) for seq, text in enumerate(AS_SHOWN, 1))), end())

    await expect(console.locator(".line .text")).to_have_text(list(AS_SHOWN.values()))
    assert await console.locator(".log :is(img, script)").count() == 0
    link = console.locator(".log .text a")
    await expect(link).to_have_count(1)
    await expect(link).to_have_attribute("href", "https://example.com/a")
    await expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
    await expect(console.locator(".fg-1.bold, .bold.fg-1")).to_have_text("bold")


async def test_a_log_over_its_limits_has_one_marker_its_last_lines_and_its_end(
    console: Page, build: Build
) -> None:
    """As `yes`, a line of 100 MB and a million empty lines end up, in the builder's own words."""
    kept, total = KeptLines(), HEAD_LINES + TAIL_LINES + 5
    origin = Origin("2026-01-01T00:00:00.000Z", Stream.STDOUT, Phase.BUILD)
    for seq in range(1, total + 1):
        kept.add(Line(seq, origin, ""))
    cut = total - TAIL_LINES
    await saying(
        console,
        build,
        numbered(1, 3),
        gap(4, cut - 1),
        lines(line(cut, kept.marker(), stream="system")),
        lines(*(line(seq, "") for seq in range(cut + 1, cut + 100))),
        gap(cut + 100, total - 1),
        lines(line(total, "the last line")),
        end("failed"),
    )

    marker = console.locator(".line.cut")
    await expect(marker).to_have_count(1)
    await expect(marker).to_contain_text("5 lines (0.0 MiB) are left out here")
    await expect(console.locator(".line.gap")).to_have_count(
        1
    )  # the test's own, for the tail it did not send
    last = console.locator(f".line[data-seq='{total}']")
    await expect(last).to_be_in_viewport()
    await expect(last).to_contain_text("the last line")
    await expect(console.locator("#log-connection")).to_have_text("The log is complete")
    await expect(console.locator("#status")).to_have_text("Failed")


ODD = [
    "x" * 8192,
    "日本語のログ 한국어 中文",
    "👩‍👩‍👧‍👦 🇪🇺 é",
    "שלום world مرحبا",
    "zero\u200bwidth\u200djoiner",
    "\t1\t2",
    "",
]


@pytest.mark.parametrize("width", [1280, 390])
async def test_odd_text_widens_nothing_and_overlaps_nothing(console: Page, build: Build, width: int) -> None:
    await console.set_viewport_size({"width": width, "height": 900})
    await saying(console, build, lines(*(line(seq, text) for seq, text in enumerate(ODD, 1))), end())
    rows = console.locator(".line")
    await expect(rows).to_have_count(len(ODD))

    assert await console.evaluate("document.documentElement.scrollWidth") <= width
    assert await console.locator("#log").evaluate("log => log.scrollWidth - log.clientWidth") == 0
    boxes = await rows.evaluate_all("rows => rows.map(row => row.getBoundingClientRect().toJSON())")
    assert all(above["bottom"] <= below["top"] for above, below in itertools.pairwise(boxes))
    assert all(box["height"] >= 20 for box in boxes)
    await console.locator("#log-wrap").click()
    assert await console.evaluate("document.documentElement.scrollWidth") <= width
    await expect(rows.first).to_have_css("height", "20px")
