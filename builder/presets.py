"""The frameworks we know: one row each, the more special before the more general. Data only."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from builder import layouts
from builder.layouts import Layout
from builder.tree import Tree

WELL_KNOWN_OUTPUTS = ("dist", "build", "out", "_site", "site", ".output/public", "public")
"""Where build tools write. ``public`` comes last: to many of them it is a source directory."""


@dataclass(frozen=True, slots=True)
class Sign:
    """A file of the root directory that tells the framework, where its text ``holds`` something."""

    path: str
    holds: re.Pattern[str] | None = None
    unless: str | None = None
    """A file beside which this one says nothing about the site."""

    def is_in(self, tree: Tree) -> bool:
        if self.path not in tree.files or self.unless in tree.files:
            return False
        return self.holds is None or self.holds.search(tree.texts.get(self.path, "")) is not None


@dataclass(frozen=True, slots=True)
class Preset:
    """``dependencies``: any one of them in package.json tells the framework; so does any one of ``signs``.

    ``command`` is what to run where package.json has no ``scripts.build``. The first of ``outputs`` that
    exists after the build is the site; ``layout`` looks at the repository for both. ``spa`` sites answer
    unknown paths with their index page, unless they have a 404.html.
    """

    name: str
    title: str
    dependencies: tuple[str, ...]
    command: str | None
    outputs: tuple[str, ...]
    spa: bool = False
    layout: Callable[[Tree, str | None], Layout] | None = None
    server_builds: tuple[str, ...] = ()
    """What ``scripts.build`` is where it makes a server: then ``command`` is run, which makes a site."""
    signs: tuple[Sign, ...] = ()
    python: str | None = None
    """What pip installs where the repository's requirements do not name it."""
    needs_program: bool = False
    """The command's program has to be on the builder's machine: nothing here installs it."""


PRESETS = (
    Preset("nextjs", "Next.js", ("next",), "next build", ("out",)),
    Preset(
        "nuxt",
        "Nuxt",
        ("nuxt", "nuxt3"),
        "nuxt generate",
        (".output/public", "dist"),
        server_builds=("nuxt build", "nuxi build"),
    ),
    Preset("sveltekit", "SvelteKit", ("@sveltejs/kit",), "vite build", ("build",)),
    Preset("astro", "Astro", ("astro",), "astro build", ("dist",)),
    Preset("gatsby", "Gatsby", ("gatsby",), "gatsby build", ("public",)),
    Preset("remix", "Remix", ("@remix-run/dev",), "remix vite:build", ("build/client",), spa=True),
    Preset(
        "react-router",
        "React Router",
        ("@react-router/dev",),
        "react-router build",
        ("build/client",),
        spa=True,
    ),
    # Analog is built on Angular and has its dependencies too.
    Preset("analog", "Analog", ("@analogjs/platform",), "vite build", ("dist/analog/public",)),
    Preset("angular", "Angular", ("@angular/cli",), "ng build", ("dist",), spa=True, layout=layouts.angular),
    Preset(
        "create-react-app",
        "Create React App",
        ("react-scripts",),
        "react-scripts build",
        ("build",),
        spa=True,
    ),
    Preset("vue-cli", "Vue CLI", ("@vue/cli-service",), "vue-cli-service build", ("dist",), spa=True),
    Preset(
        "vitepress",
        "VitePress",
        ("vitepress",),
        "vitepress build docs",
        ("docs/.vitepress/dist", ".vitepress/dist"),
        layout=layouts.vitepress,
    ),
    Preset(
        "vuepress",
        "VuePress",
        ("vuepress",),
        "vuepress build",
        (".vuepress/dist", "docs/.vuepress/dist"),
        layout=layouts.vuepress,
    ),
    Preset("docusaurus", "Docusaurus", ("@docusaurus/core",), "docusaurus build", ("build",)),
    Preset("eleventy", "Eleventy", ("@11ty/eleventy",), "eleventy", ("_site",)),
    # Its _config.yml is the name of Jekyll's too, which is further down.
    Preset("hexo", "Hexo", ("hexo",), "hexo generate", ("public",)),
    Preset("ember", "Ember", ("ember-cli",), "ember build", ("dist",), spa=True),
    Preset("preact-cli", "Preact CLI", ("preact-cli",), "preact build", ("build",), spa=True),
    Preset(
        "parcel", "Parcel", ("parcel", "parcel-bundler"), "parcel build", ("dist",), layout=layouts.parcel
    ),
    Preset("stencil", "Stencil", ("@stencil/core",), "stencil build", ("www",)),
    Preset("umi", "Umi", ("umi",), "umi build", ("dist",), spa=True),
    Preset("gridsome", "Gridsome", ("gridsome",), "gridsome build", ("dist",)),
    Preset(
        "quasar",
        "Quasar",
        ("@quasar/app-vite", "@quasar/app-webpack", "@quasar/app"),
        "quasar build",
        ("dist/spa",),
        spa=True,
    ),
    Preset("expo", "Expo web", ("expo",), "expo export --platform web", ("dist",), spa=True),
    # Its Angular and Create React App forms are above. The React and Vue ones of today are built by Vite.
    Preset(
        "ionic",
        "Ionic",
        ("@ionic/react", "@ionic/vue", "@ionic/angular", "@ionic/core"),
        "ionic build",
        ("build", "www", "dist"),
        spa=True,
    ),
    Preset("qwik", "Qwik", ("@builder.io/qwik", "@qwik.dev/core"), "qwik build", ("dist",)),
    Preset("solidstart", "SolidStart", ("@solidjs/start",), "vinxi build", (".output/public",)),
    Preset(
        "observable",
        "Observable Framework",
        ("@observablehq/framework",),
        "observable build",
        ("dist",),
    ),
    Preset("vite", "Vite", ("vite",), "vite build", ("dist",), spa=True),
    # Last of those in package.json: it stands beside an application more often than alone.
    Preset("storybook", "Storybook", ("storybook",), "storybook build", ("storybook-static",)),
)
"""Told by package.json. Meta-frameworks stand before Vite, which most of them depend on."""

_HUGO_KEY = re.compile(r'^\s*"?baseurl"?\s*[:=]', re.IGNORECASE | re.MULTILINE)
_ZOLA_KEY = re.compile(r"^\s*base_url\s*=", re.MULTILINE)

CONFIGURED = (
    Preset(
        "hugo",
        "Hugo",
        (),
        "hugo --gc",
        ("public",),
        signs=(
            *(
                Sign(f"{directory}hugo.{kind}")
                for directory in ("", "config/_default/")
                for kind in ("toml", "yaml", "yml", "json")
            ),
            *(Sign(f"config.{kind}", _HUGO_KEY) for kind in ("toml", "yaml", "yml", "json")),
        ),
        python="hugo",
    ),
    Preset(
        "zola",
        "Zola",
        (),
        "zola build",
        ("public",),
        signs=(Sign("config.toml", _ZOLA_KEY),),
        needs_program=True,
    ),
    Preset(
        "jekyll",
        "Jekyll",
        (),
        "jekyll build",
        ("_site",),
        layout=layouts.jekyll,
        signs=(Sign("_config.yml"), Sign("_config.yaml"), Sign("_config.toml")),
        needs_program=True,
    ),
    Preset("mdbook", "mdBook", (), "mdbook build", ("book",), signs=(Sign("book.toml"),), needs_program=True),
    Preset(
        "mkdocs",
        "MkDocs",
        (),
        "mkdocs build",
        ("site",),
        signs=(Sign("mkdocs.yml"), Sign("mkdocs.yaml")),
        python="mkdocs<2",
    ),
    Preset(
        "pelican",
        "Pelican",
        (),
        "pelican content",
        ("output",),
        signs=(Sign("pelicanconf.py"),),
        python="pelican[markdown]<5",
    ),
    Preset(
        "sphinx",
        "Sphinx",
        (),
        "sphinx-build . _build/html",
        ("_build/html",),
        layout=layouts.sphinx,
        # A site of plain files may have somebody's documentation lying in it.
        signs=tuple(
            Sign(path, unless="index.html" if path.startswith("docs/") else None)
            for path in layouts.SPHINX_CONFIGS
        ),
        python="sphinx<10",
    ),
)
"""Told by their own file, where package.json tells none of the above."""

SCRIPT = Preset("node", "Node.js build script", (), None, WELL_KNOWN_OUTPUTS)
"""A ``scripts.build`` and no framework that we know."""

COMMAND = Preset("custom", "custom build command", (), None, (*WELL_KNOWN_OUTPUTS, "."))
"""The project's own build command over a repository without package.json."""

STATIC = Preset("static", "plain HTML", (), None, ("public", "."))
