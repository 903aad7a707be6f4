"""Whether a file's name changes with its content, so that browsers may keep it for a year.

A wrong yes serves a stale file to everybody who has seen it; a wrong no costs a 304. So a name has to look
hashed, in a directory where build tools put hashed files.
"""

import re
from itertools import pairwise

_TOOLS_OWN = ("/_next/static/", "/_nuxt/", "/_astro/", "/_app/immutable/")
"""Nobody writes into these by hand, and a name may be the hash alone."""

_SHARED = ("/assets/", "/static/")
"""Vite's and Create React App's; also a place for files that people name."""

_CODE = (".js", ".mjs", ".css", ".js.map", ".mjs.map", ".css.map", ".chunk.js", ".chunk.css", ".module.js")
_HEX = re.compile(r"(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,64}", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)
_SEPARATORS = re.compile(r"[.-]", re.ASCII)
_CLASSES = str.maketrans(
    dict.fromkeys("0123456789", "d")
    | dict.fromkeys("abcdefghijklmnopqrstuvwxyz", "l")
    | dict.fromkeys("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "u")
    | {"-": None, "_": None}
)


def is_fingerprinted(path: str) -> bool:
    """Whether the file at ``path`` (``/assets/index-BkX3aZ1q.js``) carries a hash of its content."""
    directory, _, name = path.rpartition("/")
    own = f"{directory}/".startswith(_TOOLS_OWN)
    if not own and not f"{directory}/".startswith(_SHARED):
        return False
    stem, code = _stem(name)
    # Words change their kind of letter seldom, random letters all the time. Scripts and styles in these
    # directories are nearly always a tool's; pictures and documents are often named by a person.
    rate = 1 / 4 if own or code else 3 / 8
    return any(_looks_hashed(token, rate) for token in _tokens(stem, whole=own))


def _stem(name: str) -> tuple[str, bool]:
    """The name without its extensions, and whether it is a script or a style."""
    for extension in sorted(_CODE, key=len, reverse=True):
        if name.endswith(extension):
            return name.removesuffix(extension), True
    return name.rpartition(".")[0], False


def _tokens(stem: str, *, whole: bool) -> list[str]:
    """Each end of ``stem`` after a dot or hyphen, as a hash may hold hyphens; all of it too if ``whole``."""
    ends = [stem[match.end() :] for match in _SEPARATORS.finditer(stem)]
    return [stem, *ends] if whole else ends


def _looks_hashed(token: str, rate: float) -> bool:
    if _HEX.fullmatch(token):
        return True
    # Rollup's hashes have 8 letters, so a longer token with a hyphen in it is words around one.
    if not _TOKEN.fullmatch(token) or ("-" in token and len(token) != 8):
        return False
    kinds = token.translate(_CLASSES)
    # A capital before a small letter is how words begin, and says nothing.
    changes = sum(a != b and (a, b) != ("u", "l") for a, b in pairwise(kinds))
    return changes >= len(token) * rate
