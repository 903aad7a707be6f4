"""The frameworks we know: one row each, the more special before the more general."""

from dataclasses import dataclass

WELL_KNOWN_OUTPUTS = ("dist", "build", "out", "_site", "site", ".output/public", "public")
"""Where build tools write. ``public`` comes last: to many of them it is a source directory."""


@dataclass(frozen=True, slots=True)
class Preset:
    """``dependencies``: any one of them in package.json tells the framework.

    ``command`` is what to run where package.json has no ``scripts.build``. The first of ``outputs`` that
    exists after the build is the site. ``spa`` sites answer unknown paths with their index page.
    """

    name: str
    title: str
    dependencies: tuple[str, ...]
    command: str | None
    outputs: tuple[str, ...]
    spa: bool = False


PRESETS = (
    Preset("nextjs", "Next.js", ("next",), "next build", ("out",)),
    Preset("astro", "Astro", ("astro",), "astro build", ("dist",)),
    Preset(
        "create-react-app",
        "Create React App",
        ("react-scripts",),
        "react-scripts build",
        ("build",),
        spa=True,
    ),
    Preset("vite", "Vite", ("vite",), "vite build", ("dist",), spa=True),
)
"""Meta-frameworks stand before Vite, which most of them depend on."""

SCRIPT = Preset("node", "Node.js build script", (), None, WELL_KNOWN_OUTPUTS)
"""A ``scripts.build`` and no framework that we know."""

COMMAND = Preset("custom", "custom build command", (), None, (*WELL_KNOWN_OUTPUTS, "."))
"""The project's own build command over a repository without package.json."""

STATIC = Preset("static", "plain HTML", (), None, ("public", "."))
