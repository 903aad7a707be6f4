"""Lists the files of a site. No link is followed out, no content is read, and each limit comes first."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from builder.contract import Limits
from builder.errors import BuildError, Code

MAX_DEPTH = 64
"""Directories within directories; each one holds descriptors open while it is walked."""

PUBLISHED_DOT_NAMES = frozenset({".well-known"})
RULE_FILES = frozenset({"/_redirects", "/_headers"})
"""Instructions to the host: read by ``builder.site_rules``, and not served."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Found:
    """A file to publish. ``path`` begins with ``/``; ``source`` is relative to the output directory."""

    path: str
    source: PurePosixPath
    bytes: int


@dataclass(frozen=True, slots=True)
class Collected:
    """``files`` are the site, sorted by path. ``rule_files`` are beside it, under the same suspicion."""

    files: list[Found]
    rule_files: list[Found]


@dataclass(frozen=True, slots=True)
class _Entry:
    parts: tuple[str, ...]
    status: os.stat_result

    @property
    def name(self) -> str:
        return "/".join(self.parts)


def collect(output: Path, limits: Limits, *, is_source: bool) -> Collected:
    """The files below ``output``.

    Names that begin with a dot are left out, except ``.well-known``: they are tools' own (``.git``,
    ``.env``). So is ``node_modules`` where ``is_source``: the output is the repository itself. A link to
    a published file inside the output is published as that file.

    A file with several names is taken where all of them are in the output. Elsewhere its other name could
    be a file of somebody else's, which is how a hard link leaks it.

    Raises ``BuildError`` (``artifact_rejected``, ``limit_…``, ``output_empty``).
    """
    skipped = frozenset({"node_modules"}) if is_source else frozenset()
    root = output.resolve()
    files: list[Found] = []
    rule_files: list[Found] = []
    names_of: dict[tuple[int, int], list[_Entry]] = {}
    total = directories = 0
    for entry in _walk(output, skipped):
        if stat.S_ISDIR(entry.status.st_mode):
            directories += 1
            _require_count(limits, directories, "directories")
            continue
        found = _examine(entry, root, skipped)
        if entry.status.st_nlink > 1 and stat.S_ISREG(entry.status.st_mode):
            names_of.setdefault((entry.status.st_dev, entry.status.st_ino), []).append(entry)
        if found.path in RULE_FILES:
            rule_files.append(found)
            continue
        files.append(found)
        total += found.bytes
        _require_count(limits, len(files), "files")
        _require_within(limits, found, total)
    for entries in names_of.values():
        if entries[0].status.st_nlink != len(entries):
            raise _rejected(entries[0].name, "is a hard link to a file outside the output")
    if not files:
        raise BuildError(
            Code.OUTPUT_EMPTY,
            "The output directory holds no file to publish.",
            "Check that the build writes there; names that begin with a dot are not published.",
        )
    return Collected(sorted(files, key=lambda found: found.path), rule_files)


def read_found(output: Path, found: Found, max_bytes: int) -> bytes:
    """The content of a collected file. No name on the way to it is followed if it is a link.

    Raises ``BuildError`` (``artifact_rejected``) where it has changed since it was collected.
    """
    directory = os.open(output, _DIRECTORY)
    try:
        for name in found.source.parts[:-1]:
            inner = os.open(name, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = inner
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(found.source.name, flags, dir_fd=directory), "rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise _rejected(found.path[1:], f"can't be read ({error.strerror})") from error
    finally:
        os.close(directory)
    if len(content) != found.bytes:
        raise _rejected(found.path[1:], "changed while it was read")
    return content


def _walk(output: Path, skipped: frozenset[str]) -> Iterator[_Entry]:
    descriptor = os.open(output, _DIRECTORY)
    try:
        yield from _walk_directory(descriptor, (), skipped)
    finally:
        os.close(descriptor)


def _walk_directory(directory: int, parents: tuple[str, ...], skipped: frozenset[str]) -> Iterator[_Entry]:
    if len(parents) > MAX_DEPTH:
        raise _rejected("/".join(parents), f"is nested deeper than {MAX_DEPTH} directories")
    # One entry at a time: a directory may have more of them than there is memory for their names.
    with os.scandir(directory) as entries:
        for name in (entry.name for entry in entries):
            if not _is_published(name, skipped):
                continue
            parts = (*parents, name)
            _require_name(parts)
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            yield _Entry(parts, status)
            if stat.S_ISDIR(status.st_mode):
                inner = os.open(name, _DIRECTORY, dir_fd=directory)
                try:
                    yield from _walk_directory(inner, parts, skipped)
                finally:
                    os.close(inner)


def _examine(entry: _Entry, root: Path, skipped: frozenset[str]) -> Found:
    mode = entry.status.st_mode
    path = f"/{entry.name}"
    if stat.S_ISREG(mode):
        return Found(path, PurePosixPath(*entry.parts), entry.status.st_size)
    if not stat.S_ISLNK(mode):
        raise _rejected(entry.name, f"is {_kind(mode)}, not a file")
    try:
        target = Path(root, *entry.parts).resolve(strict=True)
        status = target.lstat()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        raise _rejected(entry.name, "is a link to nothing") from error
    if not target.is_relative_to(root):
        raise _rejected(entry.name, "is a link that leads out of the output")
    source = PurePosixPath(target.relative_to(root))
    if not stat.S_ISREG(status.st_mode) or not all(_is_published(part, skipped) for part in source.parts):
        raise _rejected(entry.name, "is a link to something that is not published")
    if status.st_nlink > 1:
        raise _rejected(entry.name, "is a link to a file with several names")
    return Found(path, source, status.st_size)


def _is_published(name: str, skipped: frozenset[str]) -> bool:
    return (not name.startswith(".") or name in PUBLISHED_DOT_NAMES) and name not in skipped


def _require_name(parts: tuple[str, ...]) -> None:
    name = parts[-1]
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode("/".join(parts)).decode(errors="backslashreplace")
        raise _rejected(shown, "has a name that is not UTF-8") from None
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in name):
        raise _rejected(ascii("/".join(parts)), "has a control character in its name")


def _require_count(limits: Limits, count: int, what: str) -> None:
    if count > limits.files:
        raise BuildError(
            Code.LIMIT_FILES,
            f"The site has more than {limits.files:,} {what}, which is the limit.",
            "Check that the output directory holds the site alone, without dependencies or caches.",
        )


def _require_within(limits: Limits, found: Found, total: int) -> None:
    if found.bytes > limits.file_bytes:
        raise BuildError(
            Code.LIMIT_FILE_BYTES,
            f"{found.path[1:]} has {found.bytes:,} bytes; the limit for a file is {limits.file_bytes:,}.",
            "Make the file smaller, or serve it from a place for large files.",
        )
    if total > limits.site_bytes:
        raise BuildError(
            Code.LIMIT_SITE_BYTES,
            f"The site's files are larger than {limits.site_bytes:,} bytes together, which is the limit.",
            "Make the site smaller, or serve large files from elsewhere.",
        )


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _rejected(name: str, what: str) -> BuildError:
    return BuildError(
        Code.ARTIFACT_REJECTED,
        f"{name} {what}.",
        "A site is made of regular files with UTF-8 names. Remove it, or copy the file into the output.",
    )
