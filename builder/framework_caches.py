"""What each framework keeps between builds, by the preset's name. Data, like the presets themselves."""

from collections.abc import Mapping

EVERY = ("node_modules/.cache", "node_modules/.vite")
"""Where tools of any framework keep things: Babel, webpack's loaders, ESLint, Terser, Vite."""

OF_PRESET: Mapping[str, tuple[str, ...]] = {
    "nextjs": (".next/cache",),
    "nuxt": (".nuxt/cache",),
    "astro": (".astro", "node_modules/.astro"),
    "gatsby": (".cache", "public"),
    "angular": (".angular/cache",),
    "docusaurus": (".docusaurus",),
    "vitepress": (".vitepress/cache", "docs/.vitepress/cache"),
    "vuepress": (".vuepress/.cache", "docs/.vuepress/.cache", "src/.vuepress/.cache"),
    "eleventy": (".cache",),
    "parcel": (".parcel-cache",),
    "expo": (".expo/web/cache",),
    "quasar": (".quasar",),
    "umi": (".umi/.cache",),
    "observable": ("src/.observablehq/cache", ".observablehq/cache"),
    "hugo": ("resources/_gen",),
    "jekyll": (".jekyll-cache",),
}
"""Relative to the root directory. Gatsby rebuilds only what changed where it finds both of its own."""


def framework_paths(preset: str) -> tuple[str, ...]:
    """The directories to keep for ``preset``, relative to the root directory."""
    return (*OF_PRESET.get(preset, ()), *EVERY)
