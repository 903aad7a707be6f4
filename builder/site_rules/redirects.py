"""``from [query=:x …] to [status[!]] [Condition=…]``, a rule a line."""

import re
from dataclasses import dataclass
from typing import Any

from builder.site_rules.lines import BadLine, numbered_lines, read_line, shown, skipped
from builder.site_rules.paths import SPLAT, check_path, require_possible

FILE = "_redirects"
MAX_REDIRECTS = 2_000

REDIRECT_STATUSES = (301, 302, 303, 307, 308)
PAGE_STATUSES = (200, 404)
"""These show a file of the site where they are, and send nobody elsewhere."""

_SPACE = re.compile(r"[ \t]+")
_STATUS = re.compile(r"([0-9]{3})(!?)", re.ASCII)
_URL = re.compile(r"https?://", re.IGNORECASE)
_HOST = re.compile(
    r"(https?://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)(?=[/?#]|$)",
    re.IGNORECASE,
)
# One that begins a segment or a parameter is meant as a placeholder; in `/wiki/Help:Contents` there is none.
_PLACEHOLDER = re.compile(r"(?<=[/=]):([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Redirect:
    """``line`` is its number in the file; ``query`` has a literal or ``:name`` for each parameter."""

    line: int
    source: str
    query: dict[str, str]
    target: str
    status: int
    forced: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "from": self.source,
            "query": self.query,
            "to": self.target,
            "status": self.status,
            "force": self.forced,
        }


def parse_redirects(content: bytes) -> tuple[list[Redirect], list[str]]:
    """The rules of ``content`` in order, and a sentence about each line that is skipped."""
    rules: list[Redirect] = []
    reports: list[str] = []
    for number, line in numbered_lines(content):
        if len(rules) == MAX_REDIRECTS:
            reports.append(
                f"{FILE}, line {number:,}: there are {MAX_REDIRECTS:,} rules above it, which is the limit. "
                "It and what follows are skipped."
            )
            break
        try:
            rules.append(_parse_rule(number, read_line(line)))
        except BadLine as why:
            reports.append(skipped(FILE, number, why))
    return rules, reports


def _parse_rule(number: int, text: str) -> Redirect:
    source, *rest = _without_comment(_SPACE.split(text))
    names = _check_source(source)
    at = next((index for index, token in enumerate(rest) if _is_target(token)), None)
    if at is None:
        raise BadLine(
            f"{shown(rest[0])} is no target: that begins with /, http:// or https://"
            if rest
            else f"{shown(source)} has no target"
        )
    query = _parse_query(rest[:at])
    bound = [*names, *(value[1:] for value in query.values() if value.startswith(":"))]
    if len(set(bound)) < len(bound):
        raise BadLine("it has one name twice")
    status, forced = _parse_status(rest[at + 1 :])
    return Redirect(number, source, query, _check_target(rest[at], status, bound), status, forced)


def _without_comment(tokens: list[str]) -> list[str]:
    comment = next((index for index, token in enumerate(tokens) if token.startswith("#")), len(tokens))
    return tokens[:comment]


def _is_target(token: str) -> bool:
    return token.startswith("/") or _URL.match(token) is not None


def _check_source(source: str) -> tuple[str, ...]:
    if _URL.match(source):
        raise BadLine(f"{shown(source)} names a host, and rules are for paths of this site")
    if not source.startswith("/"):
        raise BadLine(f"{shown(source)} is no path: that begins with /")
    if "*" in source[:-1]:
        raise BadLine(f"{shown(source)} has a * that is not at its end")
    return check_path(source)


def _parse_query(tokens: list[str]) -> dict[str, str]:
    query: dict[str, str] = {}
    for token in tokens:
        name, equals, value = token.partition("=")
        if not name or not equals:
            raise BadLine(f"{shown(token)} is neither a target nor a query condition such as id=:id")
        if name in query:
            raise BadLine(f"the query condition {shown(name)} is there twice")
        query[name] = value
    return query


def _parse_status(tokens: list[str]) -> tuple[int, bool]:
    status, forced = 301, False
    if tokens and (written := _STATUS.fullmatch(tokens[0])):
        status, forced = int(written[1]), bool(written[2])
        tokens = tokens[1:]
    for token in tokens:
        if "=" in token:
            raise BadLine(
                f"the condition {shown(token)} is not evaluated here, "
                "and without it the rule would be for everybody"
            )
        raise BadLine(f"{shown(token)} is neither a status nor a condition")
    if status not in (*REDIRECT_STATUSES, *PAGE_STATUSES):
        known = ", ".join(map(str, (*PAGE_STATUSES[:1], *REDIRECT_STATUSES)))
        raise BadLine(f"the status {status} is none of {known} and {PAGE_STATUSES[1]}")
    return status, forced


def _check_target(target: str, status: int, bound: list[str]) -> str:
    path = target
    if _URL.match(target):
        host = _HOST.match(target)
        if host is None:
            raise BadLine(f"the host of {shown(target)} can't be read; it may hold no placeholder")
        if status in PAGE_STATUSES:
            raise BadLine(
                f"{shown(target)} is another host, and with {status} its pages would be shown here (proxying)"
            )
        path = target[host.end() :]
    elif target.startswith("//"):
        raise BadLine(f"{shown(target)} begins with two slashes: write https:// for another host")
    if "\\" in target:
        raise BadLine(f"{shown(target)} has a backslash")
    if "*" in path and SPLAT in bound:
        raise BadLine(f"{shown(target)} has a *: what * stood for is :splat in a target")
    for placeholder in _PLACEHOLDER.findall(path):
        if placeholder not in bound:
            raise BadLine(f"nothing before the target says what :{placeholder} is")
    if status in PAGE_STATUSES:
        path = path.partition("#")[0].partition("?")[0]
        require_possible(path)
        return path
    return target
