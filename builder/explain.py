"""Why a command failed, by what it printed and what is in the repository. Pure.

``RULES`` is read from top to bottom, and the first rule that applies is the answer: the same output gives
the same words every time. ``evidence`` looks at the checkout, ``rules`` holds the table.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from builder.errors import BuildError, Code
from builder.log import Phase

MAX_LINE_CHARS = 500
MAX_TEXT_CHARS = 64 * 1024
"""Of a line, and of all, that are looked at: a hostile build can't make the patterns work for long."""

MAX_QUOTE_CHARS = 200

_SGR = re.compile(r"\x1b\[[0-9;:]*m")
_TELLING = re.compile(r"\b(?:[A-Z]\w*)?Error\b|\berror\b|\bERR!|\bfatal:|\bFAILED\b|[✘✗]")
_ENDED = {137: " (it was killed)", 127: " (a command was not found)"}


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that failed. ``lines`` are its last ones with their numbers in the log.

    ``status`` is the exit status, 128 and the number for a signal.
    """

    phase: Phase
    command: str
    status: int
    lines: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside the output. Paths are relative to the repository, with ``/`` between names.

    ``repo`` is where commands see it. ``files`` leaves out node_modules and git's own; ``submodules`` are
    those whose directory is empty. ``variables`` are the project's, by name.
    """

    repo: PurePosixPath
    root: PurePosixPath
    files: frozenset[str] = frozenset()
    submodules: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    dependencies: frozenset[str] = frozenset()
    has_package: bool = True
    manager: str = "npm"
    variables: frozenset[str] = frozenset()
    memory_bytes: int = 4 * 1024**3


Words = Mapping[str, str]


def no_words(match: re.Match[str], facts: Facts) -> Words | None:
    return {}


@dataclass(frozen=True, slots=True)
class Rule:
    """Applies where one of ``patterns`` is found in the output and ``words`` does not say None.

    ``message`` and ``hint`` are filled in with the pattern's named groups, ``command``, and ``words``,
    which go before them. The group ``line``, or else the beginning of the match, is the line to show.
    """

    code: Code
    patterns: tuple[re.Pattern[str], ...]
    message: str
    hint: str
    words: Callable[[re.Match[str], Facts], Words | None] = no_words
    statuses: frozenset[int] = field(default_factory=frozenset)
    """Empty: any."""

    def apply(self, ended: Ended, text: str, facts: Facts) -> BuildError | None:
        if self.statuses and ended.status not in self.statuses:
            return None
        for pattern in self.patterns:
            for match in pattern.finditer(text):
                words = self.words(match, facts)
                if words is not None:
                    groups = {name: value or "" for name, value in match.groupdict().items()}
                    given = {"command": ended.command, **groups, **words}
                    return BuildError(
                        self.code,
                        self.message.format_map(given),
                        self.hint.format_map(given),
                        line=_line_of(match, ended),
                    )
        return None


def explain(ended: Ended, facts: Facts, rules: tuple[Rule, ...]) -> BuildError:
    """The error that ends the build."""
    lines = _newest(ended.lines)
    ended = replace(ended, lines=lines)
    text = "\n".join(line for _, line in lines)
    for rule in rules:
        if (error := rule.apply(ended, text, facts)) is not None:
            return error
    return _unexplained(ended)


def _newest(lines: tuple[tuple[int, str], ...]) -> tuple[tuple[int, str], ...]:
    """The last lines that fit, without their colours."""
    kept: list[tuple[int, str]] = []
    room = MAX_TEXT_CHARS
    for seq, line in reversed(lines):
        plain = _SGR.sub("", line)[:MAX_LINE_CHARS]
        room -= len(plain) + 1
        if room < 0:
            break
        kept.append((seq, plain))
    return tuple(reversed(kept))


def _unexplained(ended: Ended) -> BuildError:
    installing = ended.phase is Phase.INSTALL
    said = [(seq, line.strip()) for seq, line in ended.lines if line.strip()]
    telling = next((line for line in said if _TELLING.search(line[1])), said[-1] if said else None)
    where = f"Line {telling[0]} says “{telling[1][:MAX_QUOTE_CHARS]}”." if telling else "It printed nothing."
    return BuildError(
        Code.INSTALL_FAILED if installing else Code.BUILD_FAILED,
        f"The {'install' if installing else 'build'} command `{ended.command}` failed: "
        f"exit status {ended.status}{_ENDED.get(ended.status, '')}.",
        f"{where} It ran with CI=true; try the same command in a fresh clone of the repository.",
        line=telling[0] if telling else None,
    )


def _line_of(match: re.Match[str], ended: Ended) -> int | None:
    if not ended.lines:
        return None
    at = match.start("line") if "line" in match.re.groupindex and match["line"] else match.start()
    index = match.string.count("\n", 0, at)
    return ended.lines[min(index, len(ended.lines) - 1)][0]
