"""The pages Scale Mesh itself shows to a visitor: whole in one answer, and never an echo of the request."""

from dataclasses import dataclass
from functools import cache
from html import escape

HTML = "text/html; charset=utf-8"

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Nothing is loaded and nothing runs, on a page that appears at other people's addresses."""

_TEMPLATE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1c2024; --quiet: #60646c; --paper: #fcfcfd }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #edeef0; --quiet: #b0b4ba; --paper: #111113 }}
}}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; color: var(--ink);
  background: var(--paper); font: 1rem/1.6 system-ui, sans-serif }}
main {{ box-sizing: border-box; width: 100%; max-width: 34rem; padding: 2rem 1.5rem }}
h1 {{ margin: 0 0 .5rem; font-size: 1.5rem; line-height: 1.25 }}
p {{ margin: 0; color: var(--quiet) }}
.status {{ margin-bottom: 1rem; font-variant-numeric: tabular-nums }}
</style>
<main>
<p class="status">{status}</p>
<h1>{title}</h1>
<p>{text}</p>
</main>
</html>
"""


@dataclass(frozen=True, slots=True)
class Page:
    """``title`` and ``text`` are ours, word for word: nothing of the request belongs in them."""

    status: int
    title: str
    text: str


BAD_HOST = Page(400, "This request names no host", "Its Host header is missing, repeated or not a host name.")
BAD_PATH = Page(400, "This address can't be read", "Its path is broken or was written to be ambiguous.")
UNKNOWN_HOST = Page(404, "Nothing is served at this host", "It is not an address of this server.")
NO_SITE = Page(
    404,
    "No site lives here yet",
    "If it is yours, deploy your project: its page appears here the moment the build is ready.",
)
NO_PAGE = Page(404, "There is no such page", "The site is here, but it has nothing at this address.")
METHOD_NOT_ALLOWED = Page(405, "This site can only be read", "It answers GET and HEAD requests.")
RANGE_NOT_SATISFIABLE = Page(416, "There is no such part", "The file ends before the range asked for.")
UNAVAILABLE = Page(503, "The site can't be shown just now", "This passes by itself. Try again in a moment.")


@cache
def render(page: Page) -> bytes:
    """The HTML of ``page``. Each of the few there are is made once."""
    return _TEMPLATE.format(status=page.status, title=escape(page.title), text=escape(page.text)).encode()
