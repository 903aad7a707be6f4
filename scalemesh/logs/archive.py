"""The record of a build: its log and its result, as gzipped NDJSON in the artifact store.

The builder writes it at its end. Where the builder died, the server writes it from the stream. Every
line of the file is a JSON object with a ``type``: ``line`` for the log's lines, and last a ``result``.
"""

import asyncio
import gzip
import io
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scalemesh import keys
from scalemesh.artifacts.store import ArtifactNotFound, ArtifactStore, ArtifactTooLarge
from scalemesh.logs.lines import encode_json, line_from, line_shape
from scalemesh.model import DeploymentID, Failure, LogLine, ProjectID

# The builder caps a log at 4 MiB of text and 200,000 lines; the JSON around each line is what makes
# the difference. A larger object is not one that our builder wrote.
MAX_ARCHIVE_BYTES = 64 * 1024 * 1024


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


async def fetch_build_log(
    store: ArtifactStore, project_id: ProjectID, deployment_id: DeploymentID, attempt: int
) -> BuildLog | None:
    """The attempt's; None where none was written yet. Raises ArchiveDamaged, StoreUnavailable."""
    try:
        data = await store.read(
            keys.build_log(project_id, deployment_id, attempt), max_bytes=MAX_ARCHIVE_BYTES
        )
    except ArtifactNotFound:
        return None
    except ArtifactTooLarge as error:
        raise ArchiveDamaged(str(error)) from error
    return await asyncio.to_thread(_decode, data)


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


def _decode(data: bytes) -> BuildLog:
    if not data:  # which gzip takes for an empty file
        raise ArchiveDamaged("the object is empty")
    lines: list[LogLine] = []
    result = None
    try:
        with gzip.open(io.BytesIO(data)) as file:
            for row in file.read(MAX_ARCHIVE_BYTES).splitlines():
                event = json.loads(row)
                if event["type"] == "line":
                    lines.append(line_from(event))
                elif event["type"] == "result":
                    result = _result_from(event)
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise ArchiveDamaged(str(error)) from error
    return BuildLog(lines, result)


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
