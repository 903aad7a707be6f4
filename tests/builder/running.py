"""Runs the real builder as a process, the way the server does, and reads what it leaves behind."""

import asyncio
import gzip
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300
"""Of a build whose install takes six seconds, on a machine that is ten times slower and has other work."""
PROJECT = "proj1"
DEPLOYMENT = "dep1"


@dataclass(frozen=True, slots=True)
class Built:
    """What a builder left. ``lines`` and ``result`` come from the log object; ``live`` from its stdout."""

    exit: int
    live: str
    errors: str
    artifacts: Path

    @property
    def records(self) -> list[dict[str, Any]]:
        [log] = self._directory.glob("build*.log.gz")
        content = gzip.decompress(log.read_bytes())
        return [json.loads(line) for line in content.splitlines()]

    @property
    def result(self) -> dict[str, Any]:
        last = self.records[-1]
        assert last["type"] == "result"
        return last

    @property
    def code(self) -> str | None:
        error = self.result["error"]
        return error["code"] if error else None

    @property
    def text(self) -> str:
        return "\n".join(record["text"] for record in self.records if record["type"] == "line")

    @property
    def manifest(self) -> dict[str, Any] | None:
        path = self._directory / "manifest.json"
        return json.loads(path.read_bytes()) if path.exists() else None

    def page(self, path: str) -> str:
        """The text of a published file."""
        assert self.manifest is not None
        return self.blob(self.manifest["files"][path]["sha256"]).decode()

    def blob(self, sha256: str) -> bytes:
        return (self.artifacts / "__output" / PROJECT / "blobs" / sha256).read_bytes()

    @property
    def _directory(self) -> Path:
        return self.artifacts / "__output" / PROJECT / DEPLOYMENT


@dataclass(frozen=True, slots=True)
class Builder:
    """Starts builders whose artifacts go to ``artifacts`` and that may run for ``timeout_s``."""

    artifacts: Path
    timeout_s: int = TIMEOUT_S

    async def run(self, url: str, **env: str) -> Built:
        process = await self.start(url, **env)
        return await self.finish(process)

    async def start(self, url: str, **env: str) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "builder",
            cwd=ROOT,
            env=_inherited(os.environ)
            | {
                "GITHUB_REPO_URL": url,
                "projectID": PROJECT,
                "DEPLOYMENT_ID": DEPLOYMENT,
                "ARTIFACTS": str(self.artifacts),
                "ALLOW_LOCAL_REPOS": "1",
            }
            | env,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )

    async def finish(self, process: Process) -> Built:
        """Waits for the end without closing its stdin, which means that the server lives."""
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(self.timeout_s):
            stdout, stderr = await asyncio.gather(process.stdout.read(), process.stderr.read())
            status = await process.wait()
        return Built(status, stdout.decode(), stderr.decode(), self.artifacts)


async def until(holds: Callable[[], bool], timeout_s: float) -> None:
    """Returns when ``holds`` does. Raises ``TimeoutError``."""
    async with asyncio.timeout(timeout_s):
        while True:
            if holds():
                return
            await asyncio.sleep(0.05)


async def wait_for_output(process: Process, text: str) -> None:
    """Reads the builder's stdout until a line holds ``text``."""
    assert process.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        async for line in process.stdout:
            if text in line.decode():
                return
    raise AssertionError(f"the builder ended without printing {text!r}")


def _inherited(env: Mapping[str, str]) -> dict[str, str]:
    """This machine's way out of its network, which a real server has too."""
    return {
        name: value
        for name, value in env.items()
        if name in ("PATH", "HOME", "TMPDIR", "PYTHONPATH")
        or "CERT" in name
        or "CA" in name
        or "proxy" in name.lower()
    }
