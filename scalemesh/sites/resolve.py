"""What answers a path: a file, a rule of the site's, a clean URL's, a 404 page, or a single-page app's."""

from dataclasses import dataclass

from scalemesh.sites.manifest import NOT_FOUND_PAGE, FileEntry, Manifest
from scalemesh.sites.redirects import Match, Redirects

ASSET_PREFIXES = ("/assets/", "/static/", "/_astro/", "/_next/static/", "/_nuxt/", "/_app/immutable/")
"""Where Vite, Create React App, Astro, Next, Nuxt and SvelteKit put files that pages load, never pages."""


@dataclass(frozen=True, slots=True)
class Found:
    """``rewritten``: a rule shows the file at a path that is not its own.

    ``is_missing_asset``: the site has nothing here but a rule for everything, and a file of this name from
    before the last deploy is a better answer than that.
    """

    entry: FileEntry
    rewritten: bool = False
    is_missing_asset: bool = False


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The same page has its one address at ``path``, decoded, of this host."""

    path: str


@dataclass(frozen=True, slots=True)
class Redirected:
    """A rule sends the visitor to ``location``, which is fit for a header."""

    status: int
    location: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """No file has this name. ``page`` is the site's own page for that, if it has one.

    ``is_missing_asset``: a page loads this, perhaps one from before the last deploy.
    """

    page: FileEntry | None
    is_missing_asset: bool = False


Outcome = Found | Elsewhere | Redirected | NotFound


def resolve(manifest: Manifest, path: str, query: str = "") -> Outcome:
    """What ``path``, decoded, leads to. An ``Elsewhere`` leads to a ``Found`` where no rule is for it."""
    if ruled := _follow(manifest, manifest.forced_redirects, path, query):
        return ruled
    if found := _file(manifest, path):
        return found
    if ruled := _follow(manifest, manifest.redirects, path, query):
        return ruled
    is_asset = looks_like_asset(path)
    if manifest.has_not_found_page:
        return NotFound(_nearest_not_found_page(manifest, path), is_asset)
    if manifest.spa and not is_asset and (index := manifest.files.get("/index.html")):
        return Found(index)
    return NotFound(None, is_asset)


def looks_like_asset(path: str) -> bool:
    """True if a page loads ``path`` and nobody visits it: HTML in its place would hide that it is gone."""
    name = path.rpartition("/")[2]
    return ("." in name and not name.endswith(".html")) or path.startswith(ASSET_PREFIXES)


def _follow(
    manifest: Manifest, redirects: Redirects, path: str, query: str
) -> Found | Redirected | NotFound | None:
    """Where the first rule for ``path`` leads; None if there is none, or its page is no file of the site."""
    match = redirects.first(path, query)
    if match is None:
        return None
    if match.rule.status not in (200, 404):
        return Redirected(match.rule.status, match.location(query))
    page = _page(manifest, match)
    if page is None:
        return None
    # One that is forced is meant, whatever the path looks like.
    is_missing_asset = match.rule.is_catch_all and not match.rule.forced and looks_like_asset(path)
    if match.rule.status == 404:
        return NotFound(page, is_missing_asset)
    return Found(page, rewritten=True, is_missing_asset=is_missing_asset)


def _page(manifest: Manifest, match: Match) -> FileEntry | None:
    """The file that a rule shows. A clean URL will do, and is no redirect: the visitor stays."""
    target = match.page()
    found = _file(manifest, target)
    if isinstance(found, Elsewhere):
        found = _file(manifest, found.path)
    return found.entry if isinstance(found, Found) else None


def _file(manifest: Manifest, path: str) -> Found | Elsewhere | None:
    """The exact file, else a clean URL: ``/x`` for ``x.html``, ``/x/`` for ``x/index.html``.

    An ``Elsewhere`` where that was asked the other way; it leads to a ``Found``.
    """
    files = manifest.files
    if exact := files.get(path):
        return Found(exact)
    if path.endswith("/"):
        if index := files.get(f"{path}index.html"):
            return Found(index)
        bare = path[:-1]
        # `/` and `/x//` are no directories of anything: `.html` is a file's whole name there.
        is_page = not bare.endswith("/") and bare and f"{bare}.html" in files
        return Elsewhere(bare) if is_page else None
    if page := files.get(f"{path}.html"):
        return Found(page)
    return Elsewhere(f"{path}/") if f"{path}/index.html" in files else None


def _nearest_not_found_page(manifest: Manifest, path: str) -> FileEntry | None:
    directory = path
    while directory:
        directory = directory.rpartition("/")[0]
        if page := manifest.files.get(f"{directory}/{NOT_FOUND_PAGE}"):
            return page
    return None
