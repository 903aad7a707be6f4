"""What the strict Content-Security-Policy and the one-journey loading ask of the files."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_inline_style_script_or_handler(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\sstyle\s*=|<style|\son[a-z]+\s*=|javascript:", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_loads_anything_from_elsewhere(path: Path) -> None:
    assert not re.search(r'(?:src|<link[^>]*href)="(?!\{\{ static\()', path.read_text())


def test_every_module_of_the_console_is_loaded_at_once() -> None:
    head = (ROOT / "templates" / "deployment.html").read_text()
    modules = {
        path.relative_to(ROOT / "static").with_suffix("").as_posix()
        for path in (ROOT / "static" / "console").glob("*.js")
    }
    assert modules <= set(re.findall(r'"([\w/]+)"', head))


def test_scripts_write_no_markup() -> None:
    for path in (ROOT / "static").rglob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", path.read_text()
        )
