"""What must be true whatever was killed. Each function names those of which it is not; none is right."""

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from scalemesh import keys
from scalemesh.db.queue import MAX_ATTEMPTS
from scalemesh.embedded.data_dir import socket_dir
from scalemesh.model import DeploymentID, ProjectID
from tests.parts.leftovers import is_alive
from tests.parts.processes import command_line, processes_with

_FINAL = ("ready", "failed", "canceled", "superseded")

Row = Mapping[str, Any]


async def read_rows(data_dir: Path, statement: str) -> Sequence[Row]:
    """From the embedded database of a server that runs."""
    connection = await asyncpg.connect(
        host=str(socket_dir(data_dir)), port=5432, user="postgres", database="scalemesh"
    )
    try:
        return [dict(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def building_without_a_lease(data_dir: Path) -> list[str]:
    """No row is ``building`` unless a worker holds it."""
    rows = await read_rows(
        data_dir,
        """
        SELECT id
        FROM deployments
        WHERE status = 'building'
          AND (worker IS NULL OR lease_until IS NULL OR lease_until < now())
        """,
    )
    return [row["id"] for row in rows]


async def ended_without_an_end(data_dir: Path) -> list[str]:
    """Every deployment ended, at a time, held by nobody; one that failed with a code, a sentence, a hint."""
    wrong = []
    for row in await read_rows(data_dir, "SELECT * FROM deployments"):
        reason = (row["error_code"], row["error_message"], row["error_hint"])
        explained = all(reason) if row["status"] == "failed" else not any(reason)
        free = row["worker"] is None and row["lease_until"] is None
        if row["status"] not in _FINAL or row["finished_at"] is None or not free or not explained:
            wrong.append(f"{row['id']}: {row}")
    return wrong


async def tried_too_often(data_dir: Path) -> list[str]:
    """What is the platform's fault is tried three times at most."""
    rows = await read_rows(data_dir, "SELECT id, attempt FROM deployments")
    return [f"{row['id']}: {row['attempt']}" for row in rows if row["attempt"] > MAX_ATTEMPTS]


async def damaged_sites(data_dir: Path) -> list[str]:
    """What is live, or could be, has a whole manifest; its blobs are there and are what they say."""
    rows = await read_rows(
        data_dir,
        """
        SELECT id, project_id, attempt
        FROM deployments
        WHERE status = 'ready'
           OR (status = 'superseded' AND commit_sha IS NOT NULL)
           OR id IN (SELECT production_id FROM projects)
        """,
    )
    store = data_dir / "artifacts"
    return [f"{row['id']}: {complaint}" for row in rows for complaint in _damage(store, row)]


def _damage(store: Path, row: Row) -> Iterable[str]:
    project_id = ProjectID(row["project_id"])
    path = store / keys.manifest(project_id, DeploymentID(row["id"]), row["attempt"])
    if not path.exists():
        yield "no manifest"
        return
    manifest = json.loads(path.read_bytes())
    if not manifest["files"]:
        yield "an empty manifest"
    for name, entry in manifest["files"].items():
        for form in (entry, *entry["encodings"].values()):
            blob = store / keys.blob(project_id, form["sha256"])
            if not blob.exists():
                yield f"{name} has no blob"
                continue
            content = blob.read_bytes()
            if hashlib.sha256(content).hexdigest() != form["sha256"] or len(content) != form["bytes"]:
                yield f"{name} has a damaged blob"


async def live_but_not_ready(data_dir: Path) -> list[str]:
    """What is live is the project's newest deployment that is ready, since nobody promoted another one."""
    rows = await read_rows(
        data_dir,
        """
        SELECT projects.id, production_id,
            (
                SELECT deployments.id
                FROM deployments
                WHERE project_id = projects.id
                  AND status = 'ready'
                ORDER BY number DESC
                LIMIT 1
            ) AS newest
        FROM projects
        """,
    )
    return [str(row) for row in rows if row["production_id"] != row["newest"]]


async def broken_logs(data_dir: Path, logs: Mapping[str, str]) -> list[str]:
    """The API's log of what was begun has the numbers 1 to n without a hole, and then the end.

    ``logs`` is NDJSON by deployment.
    """
    wrong = []
    for row in await read_rows(data_dir, "SELECT id, status, attempt FROM deployments"):
        *lines, end = [json.loads(text) for text in logs[row["id"]].splitlines()]
        numbers = [event.get("seq") for event in lines]
        if end != {"type": "end", "status": row["status"]}:
            wrong.append(f"{row['id']} does not end: {end}")
        if numbers != [*range(1, len(lines) + 1)] or bool(lines) != (row["attempt"] > 0):
            wrong.append(f"{row['id']} ({row['status']}, attempt {row['attempt']}): {_runs(numbers)}")
    return wrong


async def missing_records(data_dir: Path) -> list[str]:
    """What was begun has the log of its last attempt in the store, a result in that of what was published."""
    wrong = []
    for row in await read_rows(
        data_dir, "SELECT id, project_id, status, attempt, commit_sha FROM deployments WHERE attempt > 0"
    ):
        key = keys.build_log(ProjectID(row["project_id"]), DeploymentID(row["id"]), row["attempt"])
        path = data_dir / "artifacts" / key
        if not path.exists():
            wrong.append(f"{row['id']} ({row['status']}, attempt {row['attempt']}): no {path.name}")
            continue
        last = json.loads(gzip.decompress(path.read_bytes()).splitlines()[-1])
        published = row["status"] == "ready" or (row["status"] == "superseded" and row["commit_sha"])
        if published and (last.get("exit"), last.get("attempt")) != (0, row["attempt"]):
            wrong.append(f"{row['id']} ({row['status']}, attempt {row['attempt']}): {last}")
    return wrong


def processes_left(root: Path, marker: str) -> list[str]:
    """Nothing that the server or a build started runs any more."""
    left = {process.pid: process for word in (str(root), marker) for process in processes_with(word)}
    for process in psutil.process_iter():
        try:
            if is_alive(process) and process.environ().get("TMPDIR") == str(root / "tmp"):
                left[process.pid] = process
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return [f"{pid}: {command_line(process)}" for pid, process in left.items() if is_alive(process)]


def files_left(root: Path) -> list[str]:
    """No workspace of a build, no socket, and nothing half-written in the store."""
    in_tmp = list((root / "tmp").iterdir())
    sockets = [path for path in (root / "data").rglob("*") if path.is_socket()]
    halves = [path for path in (root / "data/artifacts").rglob(".*") if path.is_file()]
    return [str(path.relative_to(root)) for path in (*in_tmp, *sockets, *halves)]


def _runs(numbers: Sequence[int | None]) -> str:
    """Where numbers that should follow one another do not."""
    jumps = [f"{a}→{b}" for a, b in pairwise(numbers) if a is None or b != a + 1]
    return f"{len(numbers)} lines from {numbers[0] if numbers else None}, jumps: {jumps[:5]}"
