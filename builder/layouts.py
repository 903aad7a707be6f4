"""Presets whose command or output depends on the repository: one function each. Pure.

Every path that a repository states itself is judged here: it may only name a directory below its own.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from builder.tree import Tree


@dataclass(frozen=True, slots=True)
class Layout:
    """The command, its outputs, and where in the repository that was read; None where it is the default."""

    command: str
    outputs: tuple[str, ...]
    why: str | None = None
    install: str | None = None
    """What has to be run first, where neither npm nor pip installs it."""


def angular(tree: Tree, package_name: str | None) -> Layout:
    """What angular.json states; its application builder adds ``browser`` to it, the older one does not."""
    named = _angular_output(tree.texts.get("angular.json", ""))
    if named is not None:
        return Layout("ng build", _unique(*named), "angular.json")
    names = [package_name] if package_name and _is_inside(package_name) else []
    guesses = [f"dist/{name}{inner}" for name in names for inner in ("/browser", "")]
    return Layout("ng build", (*guesses, "dist/browser", "dist"))


def vitepress(tree: Tree, _: str | None) -> Layout:
    return _pages("vitepress", ".vitepress", tree, "docs" if "docs" in tree.directories else ".")


def vuepress(tree: Tree, _: str | None) -> Layout:
    return _pages("vuepress", ".vuepress", tree, "docs" if "docs" in tree.directories else ".")


def parcel(tree: Tree, _: str | None) -> Layout:
    """Parcel finds its entry in package.json's ``source``, or has to be told."""
    entries = [path for path in ("index.html", "src/index.html") if path in tree.files]
    return Layout(" ".join(["parcel build", *entries[:1]]), ("dist",), entries[0] if entries else None)


def sphinx(tree: Tree, _: str | None) -> Layout:
    """Pages are written beside their source, below a directory that Sphinx leaves out of them."""
    config = next((path for path in SPHINX_CONFIGS if path in tree.files), SPHINX_CONFIGS[0])
    source = PurePosixPath(config).parent
    output = source / "_build/html"
    return Layout(f"sphinx-build {source} {output}", (str(output),))


SPHINX_CONFIGS = ("conf.py", "source/conf.py", "docs/conf.py", "docs/source/conf.py")


def jekyll(tree: Tree, _: str | None) -> Layout:
    if "Gemfile" not in tree.files:
        return Layout("jekyll build", ("_site",))
    install = 'bundle config set path "$HOME/gems" && bundle install'
    return Layout("bundle exec jekyll build", ("_site",), "Gemfile", install)


def next_export_hint(tree: Tree) -> str:
    """What to do where Next.js wrote no ``out``."""
    ends = "Pages that need a running server can't be served."
    configs = [name for name in tree.texts if name.startswith("next.config.")]
    if not configs:
        return f"Add next.config.js with output: 'export'. {ends}"
    if re.search(r"""output\s*:\s*['"`]export['"`]""", tree.texts[configs[0]]):
        return (
            f"{configs[0]} does set output: 'export'. If it sets distDir too, make that the project's "
            f"output directory. {ends}"
        )
    return f"Set output: 'export' in {configs[0]}. {ends}"


def _pages(program: str, mark: str, tree: Tree, default: str) -> Layout:
    found = tree.source_of(mark)
    if found is not None and not _is_plain(found):
        found = None
    source = found or default
    command = f"{program} build" if source == "." else f"{program} build {source}"
    outputs = [f"{mark}/dist" if place == "." else f"{place}/{mark}/dist" for place in (source, "docs", ".")]
    return Layout(command, _unique(*outputs), f"{found}/{mark}" if found is not None else None)


def _angular_output(text: str) -> tuple[str, str] | None:
    """The two places where the application of angular.json may be, or None where it states none."""
    try:
        workspace = _mapping(json.loads(text))
    except (ValueError, RecursionError):
        return None
    projects = {name: _mapping(project) for name, project in _mapping(workspace.get("projects")).items()}
    applications = [
        name
        for name, project in projects.items()
        if project.get("projectType", "application") == "application"
    ]
    default = workspace.get("defaultProject")
    if default in applications:
        name = str(default)
    elif applications:
        name = applications[0]
    else:
        return None
    project = projects[name]
    targets = _mapping(project.get("architect", project.get("targets")))
    stated = _mapping(_mapping(targets.get("build")).get("options")).get("outputPath")
    base, browser = stated, "browser"
    if isinstance(stated, dict):
        base, browser = stated.get("base"), stated.get("browser", "browser")
    if not isinstance(base, str) or not base:
        base = f"dist/{name}"
    inner = f"{base}/{browser}" if isinstance(browser, str) and browser else base
    return (inner, base) if _is_inside(inner) and _is_inside(base) else None


def _is_inside(path: str) -> bool:
    """Whether ``path`` names something below the directory that it is relative to."""
    parts = PurePosixPath(path).parts
    return (
        path.isprintable()
        and bool(parts)
        and not path.startswith("/")
        and ".." not in parts
        and ".git" not in parts
        and "\\" not in path
    )


def _is_plain(name: str) -> bool:
    """A directory's name goes into a command line."""
    return re.fullmatch(r"\.|[A-Za-z0-9_][A-Za-z0-9._-]*", name, re.ASCII) is not None


def _unique(*paths: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(PurePosixPath(path)) for path in paths))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
