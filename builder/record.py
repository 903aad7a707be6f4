"""The log object: NDJSON, gzipped; the kept lines, then what became of the build."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass

from builder.errors import BuildError, ExitStatus
from builder.log import BuildLog, Phase

GZIP_LEVEL = 6


@dataclass(slots=True)
class Progress:
    """What is known of a build so far. ``phase`` is where it is, or where it ended."""

    phase: Phase = Phase.CLONE
    commit: str | None = None
    commit_message: str | None = None
    framework: str | None = None
    files: int | None = None
    bytes: int | None = None
    installed: bool = False


def log_object(log: BuildLog, progress: Progress, *, attempt: int, error: BuildError | None) -> bytes:
    """The whole object. Its last line has ``"type":"result"``."""
    result = {
        "type": "result",
        "attempt": attempt,
        "exit": int(error.status if error else ExitStatus.READY),
        "commit": progress.commit,
        "commitMessage": progress.commit_message,
        "framework": progress.framework,
        "files": progress.files,
        "bytes": progress.bytes,
        "error": _masked(log, error) if error else None,
    }

    def ndjson() -> Iterator[str]:
        for line in log.lines():
            yield line.to_record()
        yield json.dumps(result, ensure_ascii=False, separators=(",", ":"))

    content = "\n".join(ndjson()) + "\n"
    return gzip.compress(content.encode(), GZIP_LEVEL, mtime=0)


def _masked(log: BuildLog, error: BuildError) -> dict[str, str | int | None]:
    """A sentence may quote a command, and a command may hold a secret."""
    failure = error.failure
    return {
        "code": failure.code,
        "message": log.mask(failure.message),
        "hint": log.mask(failure.hint),
        "line": failure.line,
    }
