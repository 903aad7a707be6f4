"""``_redirects`` and ``_headers`` of the output, as the manifest has them. Nothing in them fails a build.

lines      a file as numbered lines of text, and what can be wrong with one
paths      the paths that rules are for
redirects  Netlify's grammar of ``_redirects``
headers    that of ``_headers``, with ``! Name`` of Cloudflare Pages
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from builder.collect import Found, read_found
from builder.site_rules.headers import HeaderBlock, parse_headers
from builder.site_rules.lines import report
from builder.site_rules.redirects import FILE, PAGE_STATUSES, Redirect, parse_redirects

MAX_FILE_BYTES = 4 * 1024 * 1024
"""Of a rule file: what 2,000 lines of 2,000 characters come to."""

MAX_REPORTS = 50
"""Lines of the log about mistakes; a file of another kind altogether has thousands."""


@dataclass(frozen=True, slots=True)
class SiteRules:
    """``reports`` are sentences for the build log: what was skipped and why, then what is used."""

    redirects: tuple[Redirect, ...] = ()
    headers: tuple[HeaderBlock, ...] = ()
    reports: tuple[str, ...] = ()


def read_site_rules(output: Path, rule_files: Collection[Found], site_paths: Collection[str]) -> SiteRules:
    """The rules in ``rule_files`` of ``output``; ``site_paths`` are the files that rewrites may lead to.

    Raises ``BuildError`` (``artifact_rejected``) where a file changes while it is read.
    """
    redirects: list[Redirect] = []
    headers: list[HeaderBlock] = []
    mistakes: list[str] = []
    for found in rule_files:
        name = found.path[1:]
        if found.bytes > MAX_FILE_BYTES:
            mistakes.append(
                f"{name} has {found.bytes:,} bytes. The limit is {MAX_FILE_BYTES:,}, so none of it is used."
            )
            continue
        content = read_found(output, found, MAX_FILE_BYTES)
        if name == FILE:
            redirects, found_mistakes = parse_redirects(content)
            found_mistakes += _useless(redirects, frozenset(site_paths))
        else:
            headers, found_mistakes = parse_headers(content)
        mistakes += found_mistakes
    reports = mistakes[:MAX_REPORTS]
    if len(mistakes) > MAX_REPORTS:
        reports.append(f"{len(mistakes) - MAX_REPORTS:,} more lines of these files are reported nowhere.")
    if rule_files:
        counted = f"{_counted(len(redirects), 'redirect')}, {_counted(len(headers), 'header block')}."
        reports.append(counted)
    return SiteRules(tuple(redirects), tuple(headers), tuple(reports))


def _useless(redirects: list[Redirect], site_paths: frozenset[str]) -> list[str]:
    return [
        report(FILE, rule.line, f"the site has no file for {rule.target}, so this rule does nothing")
        for rule in redirects
        if rule.status in PAGE_STATUSES and ":" not in rule.target and not _is_page(rule.target, site_paths)
    ]


def _is_page(target: str, site_paths: frozenset[str]) -> bool:
    bare = target.rstrip("/")
    return not site_paths.isdisjoint({target, f"{bare}.html", f"{bare}/index.html"})


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
