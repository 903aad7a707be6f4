import gzip
import os

import brotli
import pytest

from builder.encode import compressed_forms
from builder.fingerprint import is_fingerprinted
from builder.mime import media_type

TEXT = b"The same words again and again. " * 50


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("/index.html", "text/html; charset=utf-8"),
        ("/a/APP.JS", "text/javascript; charset=utf-8"),
        ("/a.mjs", "text/javascript; charset=utf-8"),
        ("/a.css", "text/css; charset=utf-8"),
        ("/a.js.map", "application/json; charset=utf-8"),
        ("/site.webmanifest", "application/manifest+json; charset=utf-8"),
        ("/a.json", "application/json; charset=utf-8"),
        ("/a.svg", "image/svg+xml; charset=utf-8"),
        ("/sitemap.xml", "application/xml; charset=utf-8"),
        ("/robots.txt", "text/plain; charset=utf-8"),
        ("/a.wasm", "application/wasm"),
        ("/a.avif", "image/avif"),
        ("/a.webp", "image/webp"),
        ("/a.png", "image/png"),
        ("/a.woff2", "font/woff2"),
        ("/a.mp4", "video/mp4"),
        ("/a.pdf", "application/pdf"),
        ("/a.tar.gz", "application/gzip"),
        ("/a.unknown", "application/octet-stream"),
        ("/CNAME", "application/octet-stream"),
    ],
)
def test_a_name_tells_its_type(name: str, media: str) -> None:
    assert media_type(name) == media


def test_text_gets_both_forms_and_always_the_same() -> None:
    forms = compressed_forms(TEXT, "text/html; charset=utf-8")
    assert brotli.decompress(forms["br"].content) == TEXT
    assert gzip.decompress(forms["gzip"].content) == TEXT
    assert forms == compressed_forms(TEXT, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("content", "media"),
    [
        (b"short" * 51, "text/html; charset=utf-8"),
        (TEXT, "image/png"),
        (os.urandom(4096), "text/plain; charset=utf-8"),
    ],
)
def test_a_form_that_saves_nothing_is_not_made(content: bytes, media: str) -> None:
    assert compressed_forms(content, media) == {}


@pytest.mark.parametrize(
    "path",
    [
        "/assets/index-BkX3aZ1q.js",
        "/assets/index-B-kX3aZ1.js",
        "/assets/index-BkX3aZ1q.css",
        "/assets/react-CHdo91hT.svg",
        "/assets/vendor/chunk-Dx9_pQ2z.js.map",
        "/static/js/main.8b5f1a2c.js",
        "/static/js/453.2a77899e.chunk.js",
        "/static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
        "/_next/static/chunks/main-3f9b8c7d2e1a0b4c.js",
        "/_nuxt/DlAUqK2U.js",
        "/_nuxt/entry.3f9b8c7d.css",
        "/_astro/index.BkX3aZ1q.css",
        "/_app/immutable/chunks/BkX3aZ1q.js",
    ],
)
def test_a_hashed_name_may_be_kept_for_ever(path: str) -> None:
    assert is_fingerprinted(path)


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "/main.8b5f1a2c.js",
        "/img/index-BkX3aZ1q.js",
        "/assets/index.js",
        "/assets/app-settings-page.js",
        "/assets/hero-background.jpg",
        "/assets/photo-20240115.jpg",
        "/assets/logo-Facebook.png",
        "/assets/img-Photo2024.jpg",
        "/assets/font-OpenSansRegular.woff2",
        "/assets/clip-1080p60fps.mp4",
        "/assets/phone-iPhone15Pro.png",
        "/assets/chart-LineChart.js",
        "/assets/jquery-3.6.0.min.js",
        "/assets/react-dom.production.min.js",
        "/assets/font-awesome-v5-Free.css",
        "/assets/cafebabe.js",
        "/static/report-2024final.pdf",
        "/_next/static/chunks/webpack.js",
        "/_app/version.json",
        "/deep/assets/index-BkX3aZ1q.js",
    ],
)
def test_a_name_that_people_give_may_not(path: str) -> None:
    assert not is_fingerprinted(path)
