"""Which file answers which path: each row of the clean-URL table, and what happens to a miss."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemesh.sites.manifest import Manifest
from scalemesh.sites.resolve import Elsewhere, Found, NotFound, Redirected, looks_like_asset, resolve
from tests.sites.site import pages, sha256

ONLY_PAGE = pages("/x.html", "/404.html")
ONLY_INDEX = pages("/x/index.html", "/404.html")
BOTH = pages("/x.html", "/x/index.html", "/404.html")


def outcome(manifest: Manifest, path: str) -> tuple[int, str | None]:
    """Status and what is shown, or where to go."""
    match resolve(manifest, path):
        case Found(entry):
            return 200, name_of(manifest, entry.sha256)
        case Elsewhere(elsewhere):
            return 308, elsewhere
        case Redirected(status, location):
            return status, location
        case NotFound(page):
            return 404, name_of(manifest, page.sha256) if page else None


def name_of(manifest: Manifest, digest: str) -> str:
    return next(path for path in manifest.files if sha256(path.encode()) == digest)


@pytest.mark.parametrize(
    ("path", "only_page", "only_index", "both"),
    [
        ("/x", (200, "/x.html"), (308, "/x/"), (200, "/x.html")),
        ("/x/", (308, "/x"), (200, "/x/index.html"), (200, "/x/index.html")),
        ("/x.html", (200, "/x.html"), (404, "/404.html"), (200, "/x.html")),
        ("/x/index.html", (404, "/404.html"), (200, "/x/index.html"), (200, "/x/index.html")),
    ],
)
def test_a_clean_url(
    path: str, only_page: tuple[int, str], only_index: tuple[int, str], both: tuple[int, str]
) -> None:
    assert outcome(ONLY_PAGE, path) == only_page
    assert outcome(ONLY_INDEX, path) == only_index
    assert outcome(BOTH, path) == both


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", (200, "/index.html")),
        ("/index", (200, "/index.html")),
        ("/index.html", (200, "/index.html")),
        ("/LICENSE", (200, "/LICENSE")),
        ("/LICENSE/", (404, None)),
        ("/logo.png/", (404, None)),
        ("/INDEX.HTML", (404, None)),
        ("//", (404, None)),
        ("//x", (404, None)),
        ("/x//", (404, None)),
        ("/dot/", (404, None)),
    ],
)
def test_a_path_beside_the_table(path: str, expected: tuple[int, str | None]) -> None:
    assert outcome(pages("/index.html", "/LICENSE", "/logo.png", "/x.html", "/dot/.html"), path) == expected


def test_a_site_without_an_index_has_no_front_page() -> None:
    assert outcome(pages("/.html"), "/") == (404, None)


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/nothing", "/404.html"),
        ("/nothing.js", "/404.html"),
        ("/docs/nothing", "/docs/404.html"),
        ("/docs/", "/docs/404.html"),
        ("/docs/a/b/c", "/docs/404.html"),
        ("/docsx/nothing", "/404.html"),
    ],
)
def test_a_miss_shows_the_nearest_404_page(path: str, page: str) -> None:
    site = pages("/index.html", "/404.html", "/docs/404.html", spa=True)
    assert outcome(site, path) == (404, page)


def test_a_404_page_further_down_does_not_speak_for_the_rest() -> None:
    assert outcome(pages("/index.html", "/docs/404.html", spa=True), "/other") == (404, None)


@pytest.mark.parametrize(
    ("path", "is_page"),
    [
        ("/users/7", True),
        ("/users/7/", True),
        ("/users/john.doe/edit", True),
        ("/old.html", True),
        ("/assets", True),
        ("/app.js", False),
        ("/logo.PNG", False),
        ("/.env", False),
        ("/assets/chunk", False),
        ("/static/x", False),
        ("/_astro/x", False),
        ("/_next/static/x", False),
        ("/_nuxt/x", False),
        ("/_app/immutable/x", False),
    ],
)
def test_a_single_page_app_answers_for_pages_and_never_for_assets(path: str, is_page: bool) -> None:
    assert looks_like_asset(path) is not is_page
    assert outcome(pages("/index.html", spa=True), path) == ((200, "/index.html") if is_page else (404, None))
    assert outcome(pages("/index.html", spa=False), path) == (404, None)
    assert outcome(pages("/other.html", spa=True), path) == (404, None)


SEGMENTS = st.sampled_from(["", "x", "y", "index", "x.html", "index.html", "404.html", ".html"])
PATHS = st.lists(SEGMENTS, min_size=1, max_size=4).map(lambda segments: "/" + "/".join(segments))
FILES = st.sets(PATHS.filter(lambda path: "//" not in path and not path.endswith("/")))


@given(FILES, PATHS, st.booleans())
def test_a_redirect_leads_to_a_page_and_never_to_another_redirect(
    files: set[str], path: str, spa: bool
) -> None:
    site = pages(*files, spa=spa)
    found = resolve(site, path)
    if isinstance(found, Elsewhere):
        assert isinstance(resolve(site, found.path), Found)
