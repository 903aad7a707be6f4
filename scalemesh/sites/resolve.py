"""Which file answers a path: the exact one, a clean URL's, a 404 page, or a single-page app's."""

from dataclasses import dataclass

from scalemesh.sites.manifest import NOT_FOUND_PAGE, FileEntry, Manifest

ASSET_PREFIXES = ("/assets/", "/static/", "/_astro/", "/_next/static/", "/_nuxt/", "/_app/immutable/")
"""Where Vite, Create React App, Astro, Next, Nuxt and SvelteKit put files that pages load, never pages."""


@dataclass(frozen=True, slots=True)
class Found:
    entry: FileEntry


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The same page has its one address at ``path``, decoded, of this host."""

    path: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """No file has this name. ``page`` is the site's own page for that, if it has one."""

    page: FileEntry | None


def resolve(manifest: Manifest, path: str) -> Found | Elsewhere | NotFound:
    """What ``path``, decoded, leads to. An ``Elsewhere`` leads to a ``Found``: redirects never chain."""
    if exact := manifest.files.get(path):
        return Found(exact)
    if clean := _clean_url(manifest, path):
        return clean
    if manifest.has_not_found_page:
        return NotFound(_nearest_not_found_page(manifest, path))
    if manifest.spa and not looks_like_asset(path) and (index := manifest.files.get("/index.html")):
        return Found(index)
    return NotFound(None)


def looks_like_asset(path: str) -> bool:
    """True if a page loads ``path`` and nobody visits it: HTML in its place would hide that it is gone."""
    name = path.rpartition("/")[2]
    return ("." in name and not name.endswith(".html")) or path.startswith(ASSET_PREFIXES)


def _clean_url(manifest: Manifest, path: str) -> Found | Elsewhere | None:
    """``/x`` for ``x.html``, ``/x/`` for ``x/index.html``; a redirect where it was asked the other way."""
    files = manifest.files
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
