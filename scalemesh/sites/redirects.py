"""The rules of a site's ``_redirects``: which one is for a request, and where it leads."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from string import punctuation
from typing import Annotated, Literal
from urllib.parse import parse_qsl, quote, unquote

from pydantic import Field, StringConstraints

MAX_REDIRECTS = 2_000
MAX_RULE_CHARS = 2_000

PATH_SAFE = "/!$&'()*+,;=:@-._~"  # RFC 3986 pchar and the slash

# What the builder has checked already: a path, and a target whose host no placeholder can change.
RulePath = Annotated[str, StringConstraints(pattern=r"^/[^\x00-\x1f\x7f?#]*$", max_length=MAX_RULE_CHARS)]
_Target = Annotated[
    str,
    StringConstraints(
        pattern=r"^(?i:/([^/\\\x00-\x20\x7f][^\\\x00-\x20\x7f]*)?"
        r"|https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?([/?#][^\\\x00-\x20\x7f]*)?)$",
        max_length=MAX_RULE_CHARS,
    ),
]
_QueryPart = Annotated[str, StringConstraints(max_length=MAX_RULE_CHARS)]

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_PLACEHOLDER = re.compile(f":({_NAME})", re.ASCII)
_PARTS = re.compile(r"(?P<host>https?://[^/?#]*)?(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>#.*)?", re.I)

_SPLAT = "splat"


@dataclass(frozen=True, slots=True)
class Redirect:
    """``source`` is a path with ``:name`` for a segment and ``*`` at its end; ``query`` what it needs too.

    ``target`` is a path of this site or a URL, in which ``:name`` and ``:splat`` stand for what was matched.
    ``status`` 200 and 404 show a file of the site instead of sending elsewhere.
    """

    source: Annotated[RulePath, Field(alias="from")]
    target: Annotated[_Target, Field(alias="to")]
    query: Mapping[_QueryPart, _QueryPart] = field(default_factory=dict)
    status: Literal[200, 301, 302, 303, 307, 308, 404] = 301
    forced: Annotated[bool, Field(alias="force")] = False

    @property
    def is_catch_all(self) -> bool:
        return self.source.endswith("*")


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that is for a request, and the text behind each of its names."""

    rule: Redirect
    values: Mapping[str, str]

    def page(self) -> str:
        """The target as a decoded path, for a rule that shows a file."""
        return _PLACEHOLDER.sub(lambda name: self.values.get(name[1], name[0]), unquote(self.rule.target))

    def location(self, query: str) -> str:
        """Where a redirect leads, fit for a header. ``query`` is the request's, for a target without one.

        It never leaves this host for one that the request named.
        """
        parts = _PARTS.match(self.rule.target)
        assert parts is not None  # each of its parts may be empty
        path = self._filled(parts["path"], safe=PATH_SAFE)
        if path or not parts["host"]:
            # One slash, whatever came before: two would make the first segment a host.
            path = "/" + path.lstrip("/")
        own_query = self._filled(parts["query"] or "", safe="/")
        carried = "?" + header_query(query) if query else ""
        fragment = self._filled(parts["fragment"] or "", safe=PATH_SAFE)
        return (parts["host"] or "") + path + (own_query or carried) + fragment

    def _filled(self, template: str, *, safe: str) -> str:
        """``template`` with the values in it, escaped; what it has of its own stays as it was written."""
        pieces = _PLACEHOLDER.split(template)
        pieces[::2] = [quote(text, safe=punctuation) for text in pieces[::2]]
        pieces[1::2] = [self._value(name, safe) for name in pieces[1::2]]
        return "".join(pieces)

    def _value(self, name: str, safe: str) -> str:
        value = self.values.get(name)
        if value is None:
            return f":{name}"
        return quote(value, safe=safe if name == _SPLAT else safe.replace("/", ""), errors="replace")


def header_query(query: str) -> str:
    """``query`` as it came, escapes and all; only what may not stand in a header is escaped."""
    return quote(query, safe=punctuation, errors="replace")


_Names = tuple[tuple[str, int], ...]
"""Placeholders, each with the place of the segment that it stands for."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """What many rules have in common: where their literal segments are, and whether more may follow.

    ``length`` is of segments before a ``*``. Where the ``*`` continues a segment, as in ``/en-*``, ``prefix``
    is how much of that segment is literal.
    """

    literals: tuple[int, ...]
    length: int
    open: bool
    prefix: int

    def key(self, segments: Sequence[str]) -> tuple[str, ...] | None:
        """What of ``segments`` a rule of this shape has to equal; None if they are too few, or too many."""
        if len(segments) < self.length + bool(self.prefix) or (not self.open and len(segments) > self.length):
            return None
        key = tuple(map(segments.__getitem__, self.literals))
        return (*key, segments[self.length][: self.prefix]) if self.prefix else key

    def values(self, names: _Names, segments: Sequence[str]) -> dict[str, str] | None:
        """What each of ``names`` stands for; None where one would stand for nothing."""
        values = {name: segments[index] for name, index in names}
        if not all(values.values()):
            return None
        if self.open:
            values[_SPLAT] = "/".join(segments[self.length :])[self.prefix :]
        return values


def _take_apart(path: str) -> tuple[_Shape, tuple[str, ...], _Names]:
    """A rule's path as its shape, what fills the literal places of that, and its placeholders."""
    is_open = path.endswith("*")
    *segments, last = path.removesuffix("*").split("/")[1:]
    segments = segments if is_open or not last else [*segments, last]
    names = tuple((text[1:], index) for index, text in enumerate(segments) if text.startswith(":"))
    literals = tuple(index for index, text in enumerate(segments) if not text.startswith(":"))
    prefix = unquote(last) if is_open else ""
    key = tuple(unquote(segments[index]) for index in literals)
    return _Shape(literals, len(segments), is_open, len(prefix)), (*key, prefix) if prefix else key, names


_Numbered = tuple[int, Redirect, _Names]


@dataclass(frozen=True, slots=True)
class Redirects:
    """Rules in order, and an index of them: a look for one costs by their shapes, not by their number.

    Two thousand rules from old paths to new ones have as many shapes as those paths have depths.
    """

    rules: Sequence[Redirect]
    _index: Mapping[_Shape, Mapping[tuple[str, ...], Sequence[_Numbered]]] = field(
        init=False, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        index: dict[_Shape, dict[tuple[str, ...], list[_Numbered]]] = {}
        for number, rule in enumerate(self.rules):
            shape, key, names = _take_apart(rule.source)
            index.setdefault(shape, {}).setdefault(key, []).append((number, rule, names))
        object.__setattr__(self, "_index", index)

    def first(self, path: str, query: str) -> Match | None:
        """The first rule that is for ``path``, decoded, and ``query``, as it came.

        A final slash makes no difference. A redirect to where the request already is, is for none.
        """
        if not self.rules:
            return None
        segments = path.split("/")[1:]
        given: dict[str, str] | None = None
        for rule, values in self._candidates(segments):
            if rule.query:
                given = dict(reversed(parse_qsl(query, keep_blank_values=True))) if given is None else given
                asked = _query_values(rule.query, given)
                if asked is None:
                    continue
                values |= asked
            match = Match(rule, values)
            return None if _leads_nowhere(match, path, query) else match
        return None

    def _candidates(self, segments: Sequence[str]) -> Iterator[tuple[Redirect, dict[str, str]]]:
        """Each rule whose path ``segments`` are, in order, with what its names stand for."""
        bare = segments[:-1] if segments[-1] == "" else segments
        found = [
            (number, rule, names, shape)
            for shape, rules in self._index.items()
            if (key := shape.key(bare)) is not None
            for number, rule, names in rules.get(key, ())
        ]
        found.sort(key=itemgetter(0))
        for _, rule, names, shape in found:
            if (values := shape.values(names, segments)) is not None:
                yield rule, values


NO_REDIRECTS = Redirects(())


def split_forced(rules: Iterable[Redirect]) -> tuple[Redirects, Redirects]:
    """The forced rules, and the others, each in their order."""
    forced: list[Redirect] = []
    others: list[Redirect] = []
    for rule in rules:
        (forced if rule.forced else others).append(rule)
    return Redirects(tuple(forced)), Redirects(tuple(others))


def _query_values(wanted: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str] | None:
    """What the names in ``wanted`` stand for; None if ``given`` does not have all of it."""
    values = {}
    for name, value in wanted.items():
        if name not in given:
            return None
        if value.startswith(":"):
            values[value[1:]] = given[name]
        elif value != given[name]:
            return None
    return values


def _leads_nowhere(match: Match, path: str, query: str) -> bool:
    """True for a redirect that would come back for ever: to the same query and path, a final slash or not."""
    if match.rule.status in (200, 404):
        return False
    there, _, there_query = match.location(query).partition("#")[0].partition("?")
    return unquote(there).rstrip("/") == path.rstrip("/") and there_query == header_query(query)
