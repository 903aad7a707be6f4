"""What lies in the root directory, as far as choosing a build needs it. ``checkout`` fills it in."""

from collections.abc import Mapping
from dataclasses import dataclass, field

PROBED = (
    "config/_default/hugo.toml",
    "config/_default/hugo.yaml",
    "config/_default/hugo.yml",
    "config/_default/hugo.json",
    "docs/conf.py",
    "docs/requirements.txt",
    "docs/source/conf.py",
    "source/conf.py",
    "src/index.html",
)
"""Below the root directory itself, these are looked for; of its own entries every name is known."""

SOURCE_MARKS = (".vitepress", ".vuepress")
"""Looked for in the root directory and in each directory of it: they tell where the pages are."""

READ = (
    "angular.json",
    "config.json",
    "config.toml",
    "config.yaml",
    "config.yml",
    "docs/requirements.txt",
    "next.config.js",
    "next.config.mjs",
    "next.config.mts",
    "next.config.ts",
    "requirements.txt",
)
"""Whose text is looked into."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Paths are relative with ``/`` between names; no link is among them.

    ``texts`` holds those of ``READ`` that are there.
    """

    files: frozenset[str] = frozenset()
    directories: frozenset[str] = frozenset()
    texts: Mapping[str, str] = field(default_factory=dict)

    def source_of(self, mark: str) -> str | None:
        """The directory that holds ``mark``, or None; ``docs`` before the root before any other."""
        holders = {
            path.removesuffix(mark).rstrip("/") or "."
            for path in self.directories
            if path.rpartition("/")[2] == mark
        }
        return min(holders, key=lambda holder: (holder != "docs", holder != ".", holder), default=None)
