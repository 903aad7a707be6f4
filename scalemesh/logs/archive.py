"""The record of a build: its log and its result, as gzipped NDJSON in the artifact store.

The builder writes it at its end. Where the builder died, the server writes it from the stream. Every
line of the file is a JSON object with a ``type``: ``line`` for the log's lines, and last a ``result``.
"""

import asyncio
import gzip
import io
import json
import zlib
from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any

from scalemesh import keys
from scalemesh.artifacts.store import ArtifactNotFound, ArtifactStore, ArtifactTooLarge
from scalemesh.logs.lines import (
    BATCH_MAX_BYTES,
    Batch,
    Gap,
    Row,
    encode_json,
    line_from,
    line_shape,
    parse_rows,
    row_from,
    with_gaps,
)
from scalemesh.logs.shared import Shared
from scalemesh.model import DeploymentID, Failure, LogLine, ProjectID

# The builder caps a log at 4 MiB of text and 200,000 lines; the JSON around each line is what makes
# the difference. A larger object is not one that our builder wrote.
MAX_ARCHIVE_BYTES = 64 * 1024 * 1024

_TOO_LONG = "the log is longer than any that a builder writes"

_PIECE_BYTES = 2 * 1024 * 1024
"""More than any row has, also one that quotes a whole package.json."""


class ArchiveDamaged(Exception):
    """The object is there but is no build log."""


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What the builder says about its attempt. ``exit`` is its exit status."""

    attempt: int
    exit: int
    commit: str | None
    commit_message: str | None
    framework: str | None
    files: int | None
    bytes: int | None
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class BuildLog:
    lines: Sequence[LogLine]
    result: BuildResult | None


@dataclass(frozen=True, slots=True)
class LogEnds:
    """How a log object begins and ends. ``first_seq`` is None where it has no line."""

    first_seq: int | None
    result: BuildResult | None


class ArchivedLog:
    """A log object, taken apart as far as somebody has read it, once for all who read it.

    So the first lines of a long one are there at once, and a thousand consoles at a build's end cost what one
    does.
    """

    def __init__(self, data: bytes) -> None:
        self._rest = with_gaps(_rows(data), 0)
        self._events: list[Batch | Gap] = []
        self._is_whole = False
        self._damage: str | None = None
        self._steps: Shared[int, None] = Shared()

    async def read(self, after: int) -> AsyncGenerator[Batch | Gap, None]:
        """What follows line ``after``. Raises ArchiveDamaged, where it is only damaged further on, there."""
        index = bisect_right(self._events, after, key=attrgetter("last"))
        while await self._reach(index):
            rest = self._events[index].after(after)
            index += 1
            if rest is not None:
                yield rest
                # A reader that takes all it is given must not keep the loop from the others.
                await asyncio.sleep(0)

    async def _reach(self, index: int) -> bool:
        """Whether there is an event ``index``; at most one more than have been read."""
        if index == len(self._events) and not self._is_whole and self._damage is None:
            # Goes on to its end where whoever asked first is gone by then.
            await self._steps.get(index, self._step)
        if index == len(self._events) and self._damage is not None:
            raise ArchiveDamaged(self._damage)
        return index < len(self._events)

    async def _step(self) -> None:
        """One batch more: a millisecond or two, for which a thread has the interpreter."""
        try:
            event = await asyncio.to_thread(next, self._rest, None)
        except ArchiveDamaged as error:
            self._damage = str(error)
            return
        if event is None:
            self._is_whole = True
        else:
            self._events.append(event)


async def fetch_archived_log(
    store: ArtifactStore, project_id: ProjectID, deployment_id: DeploymentID, attempt: int
) -> ArchivedLog | None:
    """The attempt's, to read; None where none was written yet. Raises ArchiveDamaged, StoreUnavailable."""
    data = await _fetch(store, project_id, deployment_id, attempt)
    return None if data is None else ArchivedLog(data)


async def fetch_build_log(
    store: ArtifactStore, project_id: ProjectID, deployment_id: DeploymentID, attempt: int
) -> BuildLog | None:
    """The same as a whole, result and all: seconds of a thread, for the longest there are."""
    data = await _fetch(store, project_id, deployment_id, attempt)
    return None if data is None else await asyncio.to_thread(_decode, data)


async def fetch_log_ends(
    store: ArtifactStore, project_id: ProjectID, deployment_id: DeploymentID, attempt: int
) -> LogEnds | None:
    """How it begins and ends; what is between may be damaged unnoticed."""
    data = await _fetch(store, project_id, deployment_id, attempt)
    return None if data is None else await asyncio.to_thread(_ends, data)


async def write_build_log(
    store: ArtifactStore, project_id: ProjectID, deployment_id: DeploymentID, attempt: int, log: BuildLog
) -> None:
    """Stores the attempt's, as its builder does. Raises StoreUnavailable."""
    data = await asyncio.to_thread(_encode, log)
    await store.write(keys.build_log(project_id, deployment_id, attempt), data)


async def write_whole_build_log(
    store: ArtifactStore, project_id: ProjectID, deployment_id: DeploymentID, attempt: int, log: BuildLog
) -> None:
    """The same of a log that has the lines of the attempts before too, for whoever knows one name only."""
    await write_build_log(store, project_id, deployment_id, attempt, log)
    if attempt > 1:
        await write_build_log(store, project_id, deployment_id, 1, log)


async def _fetch(
    store: ArtifactStore, project_id: ProjectID, deployment_id: DeploymentID, attempt: int
) -> bytes | None:
    key = keys.build_log(project_id, deployment_id, attempt)
    try:
        return await store.read(key, max_bytes=MAX_ARCHIVE_BYTES)
    except ArtifactNotFound:
        return None
    except ArtifactTooLarge as error:
        raise ArchiveDamaged(str(error)) from error


@contextmanager
def _opened(data: bytes) -> Iterator[gzip.GzipFile]:
    """Raises ArchiveDamaged where whoever reads it finds it damaged."""
    if not data:  # which gzip takes for an empty file
        raise ArchiveDamaged("the object is empty")
    try:
        with gzip.open(io.BytesIO(data)) as file:
            yield file
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise ArchiveDamaged(str(error)) from error


def _events(file: gzip.GzipFile) -> Iterator[dict[str, Any]]:
    for rows in _together(file):
        yield from parse_rows(rows)


def _together(file: gzip.GzipFile) -> Iterator[list[bytes]]:
    """Its rows, about as many at a time as a batch has."""
    rows: list[bytes] = []
    size, left = 0, MAX_ARCHIVE_BYTES
    while row := file.readline(left + 1):
        rows.append(row)
        size += len(row)
        left -= len(row)
        if left < 0:
            raise ValueError(_TOO_LONG)
        if size >= BATCH_MAX_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _rows(data: bytes) -> Iterator[Row]:
    """Of the lines alone. Raises ArchiveDamaged."""
    with _opened(data) as file:
        for event in _events(file):
            if event["type"] == "line":
                yield row_from(event)


def _decode(data: bytes) -> BuildLog:
    lines: list[LogLine] = []
    result = None
    with _opened(data) as file:
        for event in _events(file):
            if event["type"] == "line":
                lines.append(line_from(event))
            elif event["type"] == "result":
                result = _result_from(event)
    return BuildLog(lines, result)


def _ends(data: bytes) -> LogEnds:
    with _opened(data) as file:
        head = tail = file.readline(MAX_ARCHIVE_BYTES + 1)
        left = MAX_ARCHIVE_BYTES - len(head)
        # By pieces, between which others have the interpreter.
        while left >= 0 and (piece := file.read(_PIECE_BYTES)):
            left -= len(piece)
            tail = (tail + piece)[-_PIECE_BYTES:]
        if left < 0:
            raise ValueError(_TOO_LONG)
        first, last = json.loads(head), json.loads(tail.rstrip().rpartition(b"\n")[2])
        return LogEnds(
            int(first["seq"]) if first["type"] == "line" else None,
            _result_from(last) if last["type"] == "result" else None,
        )


def _encode(log: BuildLog) -> bytes:
    events: list[dict[str, Any]] = [{"type": "line", **line_shape(line)} for line in log.lines]
    if log.result is not None:
        events.append(_result_event(log.result))
    text = "".join(encode_json(event) + "\n" for event in events)
    return gzip.compress(text.encode(), compresslevel=6, mtime=0)


def _result_from(event: dict[str, Any]) -> BuildResult:
    error = event.get("error")
    return BuildResult(
        attempt=int(event["attempt"]),
        exit=int(event["exit"]),
        commit=event.get("commit"),
        commit_message=event.get("commitMessage"),
        framework=event.get("framework"),
        files=event.get("files"),
        bytes=event.get("bytes"),
        failure=Failure(error["code"], error["message"], error["hint"], error.get("line")) if error else None,
    )


def _result_event(result: BuildResult) -> dict[str, Any]:
    return {
        "type": "result",
        "attempt": result.attempt,
        "exit": result.exit,
        "commit": result.commit,
        "commitMessage": result.commit_message,
        "framework": result.framework,
        "files": result.files,
        "bytes": result.bytes,
        "error": asdict(result.failure) if result.failure else None,
    }
