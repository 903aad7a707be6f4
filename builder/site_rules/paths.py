"""The paths that rules are for: literal segments, ``:name`` for one of any content, and ``*``."""

import re
from urllib.parse import unquote_to_bytes

from builder.site_rules.lines import BadLine, shown

SPLAT = "splat"
"""The name by which a target has what ``*`` stood for."""

_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_IMPOSSIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")


def check_path(path: str) -> tuple[str, ...]:
    """The names that ``path`` binds, ``splat`` for its ``*``. Raises ``BadLine``."""
    if "?" in path or "#" in path:
        raise BadLine(f"{shown(path)} has more than a path in it")
    if path.count("*") > 1:
        raise BadLine(f"{shown(path)} has more than one *")
    names = [_name(segment) for segment in path.split("/") if segment.startswith(":")]
    if "*" in path:
        names.append(SPLAT)
    if len(set(names)) < len(names):
        raise BadLine(f"{shown(path)} has one name twice")
    require_possible(path)
    return tuple(names)


def require_possible(path: str) -> None:
    """Raises ``BadLine`` for a path that no request has: those of the server's are checked the same way."""
    try:
        decoded = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise BadLine(f"{shown(path)} is not UTF-8 behind its escapes") from None
    if _IMPOSSIBLE.search(decoded) or not {".", ".."}.isdisjoint(decoded.split("/")):
        raise BadLine(f"no address can have the path {shown(path)}")


def _name(segment: str) -> str:
    if not _NAME.fullmatch(segment, 1):
        raise BadLine(f"{shown(segment)} is no placeholder: a name has letters, digits and _")
    return segment[1:]
