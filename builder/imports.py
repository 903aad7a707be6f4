"""Imports that a bundler could not follow, told apart by what is in the repository. Pure."""

import posixpath
import re
from pathlib import PurePosixPath

from builder.explain import Facts, Words

PATTERNS = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        # Rollup and Rolldown, so Vite, Astro, SvelteKit …
        r"""Could not resolve ["'](?P<spec>[^"'\n]+)["'] (?:from|in) ["']?(?P<importer>[^"'\n]+?)["']?$""",
        r"""[Ff]ailed to resolve import "(?P<spec>[^"\n]+)" from "(?P<importer>[^"\n]+)\"""",
        r"""Could not load (?P<spec>\S+) \(imported by (?P<importer>[^)\n]+)\)""",
        # webpack, and Next.js with it
        r"""Can't resolve '(?P<spec>[^'\n]+)' in '(?P<directory>[^'\n]+)'""",
        r"""^(?:\./)?(?P<importer>[^\s:]+)(?::\d+:\d+)?\n"""
        r"""(?P<line>Module not found: Can't resolve '(?P<spec>[^'\n]+)')""",
        # esbuild
        r"""Could not resolve "(?P<spec>[^"\n]+)"\n\s*\n\s+(?P<importer>[^\s:]+):\d+:\d+:""",
        r"""Cannot read file: (?P<spec>/\S+)""",
        # TypeScript
        r"""^(?P<importer>[^\s:(]+)[:(]\d+[:,]\d+\)?(?::| -) error TS2307: """
        r"""Cannot find module '(?P<spec>[^'\n]+)'""",
        # Node.js itself
        r"""Cannot find (?:module|package) '(?P<spec>[^'\n]+)' imported from (?P<importer>\S+)""",
        r"""Cannot find module '(?P<spec>[^'\n]+)'(?:\nRequire stack:\n- (?P<importer>\S+))?""",
    )
)

_ALIASED = re.compile(r"(?:@|~|#|\$lib|src|app)/(?P<rest>.+)")
_VITE_COPY = re.compile(r"\.timestamp-[\w-]+\.mjs$")
"""Vite imports a copy of its configuration."""
_PACKAGE = re.compile(r"(?:@[\w.~-]+/)?[\w.~-]+")
_ADD = {"npm": "npm install", "pnpm": "pnpm add", "yarn": "yarn add", "bun": "bun add"}
_NODE_MODULES = re.compile(
    r"(?:node:.+|assert|async_hooks|buffer|child_process|cluster|console|crypto|dns|events|fs|http2?|https|module|net"
    r"|os|path|perf_hooks|process|querystring|readline|stream|string_decoder|timers|tls|tty|url|util|v8|vm"
    r"|worker_threads|zlib)"
)
"""Node.js's own, which a bundler for browsers does not find either: no package to add."""


def other_case(match: re.Match[str], facts: Facts) -> Words | None:
    """Where the file is there and only its case differs."""
    wanted = _target(match, facts)
    suffix = None
    if wanted is None and (aliased := _ALIASED.fullmatch(match["spec"])):
        suffix = posixpath.normpath(aliased["rest"])
    if wanted is None and suffix is None:
        return None
    found = None
    for file in sorted(facts.files):
        if _names(file, wanted, suffix):
            return None
        if found is None and _names(file.lower(), _lower(wanted), _lower(suffix)):
            found = file
    return {"actual": found, "spec": _spec(match, facts), "by": _by(match, facts)} if found else None


def in_submodule(match: re.Match[str], facts: Facts) -> Words | None:
    wanted = _target(match, facts)
    if wanted is None:
        return None
    submodule = next((path for path in facts.submodules if f"{wanted}/".startswith(f"{path}/")), None)
    return {"submodule": submodule} if submodule else None


def missing_file(match: re.Match[str], facts: Facts) -> Words | None:
    wanted = _target(match, facts)
    if wanted is None or any(_names(file, wanted, None) for file in facts.files):
        return None
    return {"wanted": wanted, "spec": _spec(match, facts), "by": _by(match, facts)}


def missing_package(match: re.Match[str], facts: Facts) -> Words | None:
    name = _package_name(match["spec"])
    if name is None or name in facts.dependencies:
        return None
    return {"package": name, "by": _by(match, facts), "add": _ADD.get(facts.manager, "npm install")}


def listed_package(match: re.Match[str], facts: Facts) -> Words | None:
    name = _package_name(match["spec"])
    return {"package": name, "by": _by(match, facts)} if name in facts.dependencies and name else None


def _package_name(spec: str) -> str | None:
    package = _PACKAGE.match(spec)
    if package is None or spec.startswith((".", "/")) or _ALIASED.fullmatch(spec):
        return None
    return None if _NODE_MODULES.fullmatch(package[0]) else package[0]


def _target(match: re.Match[str], facts: Facts) -> str | None:
    """The imported file relative to the repository, as it was written; None where that can't be told."""
    spec = match["spec"]
    if spec.startswith("/"):
        return _inside(spec, facts) or _inside(str(facts.repo / facts.root / spec.lstrip("/")), facts)
    if not spec.startswith("."):
        return None
    groups = match.groupdict()
    if groups.get("directory"):
        directory = PurePosixPath(groups["directory"])
    elif groups.get("importer"):
        directory = PurePosixPath(groups["importer"]).parent
    else:
        return None
    return _inside(str(facts.repo / facts.root / directory / spec), facts)


def _inside(path: str, facts: Facts) -> str | None:
    relative = posixpath.relpath(posixpath.normpath(path), str(facts.repo))
    return None if relative.startswith("..") or "node_modules" in relative.split("/") else relative


def _names(file: str, wanted: str | None, suffix: str | None) -> bool:
    """Whether an import of ``wanted``, or of a path that ends in ``suffix``, could mean ``file``."""
    stem = posixpath.splitext(file)[0]
    spellings = (file, stem, stem.removesuffix("/index"))
    if wanted is not None:
        return wanted in spellings
    return any(f"/{spelling}".endswith(f"/{suffix}") for spelling in spellings)


def _lower(text: str | None) -> str | None:
    return text.lower() if text is not None else None


def _spec(match: re.Match[str], facts: Facts) -> str:
    """The import as it was written; what a tool made absolute, relative to the repository."""
    return (_inside(match["spec"], facts) if match["spec"].startswith("/") else None) or match["spec"]


def _by(match: re.Match[str], facts: Facts) -> str:
    """The importing file, or failing that "The build"."""
    importer = match.groupdict().get("importer")
    if not importer:
        return "The build"
    importer = _VITE_COPY.sub("", importer)
    return _inside(str(facts.repo / facts.root / importer), facts) or PurePosixPath(importer).name
