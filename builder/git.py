"""Runs git with nothing of the machine's or the repository's configuration."""

import asyncio
import os
import shutil
import signal
import tempfile
from asyncio.subprocess import Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from builder.contract import Limits
from builder.errors import BuildError, Code
from builder.gitauth import token_environment
from builder.giturl import RepoURL
from builder.log import BuildLog, Phase
from builder.passthrough import network_environment
from builder.process import Finished, run_process
from builder.route import Route

MAX_CHECKOUT_FILES = 200_000
"""Files that git writes; a few kilobytes of repeated trees can describe billions."""

SAFE_CONFIG = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "credential.helper=",
    "filter.lfs.smudge=",
    "filter.lfs.process=",
    "filter.lfs.required=false",
    "http.followRedirects=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "transfer.fsckObjects=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    "init.defaultBranch=main",
)


def git_environment(
    url: RepoURL, route: Route, environ: Mapping[str, str], *, token: str | None
) -> dict[str, str]:
    """All that git sees. It may use the address's own protocol and no other."""
    network = {
        name: value
        for name, value in network_environment(environ).items()
        if name.lower() not in route.dropped_variables
    }
    return {
        **network,
        **token_environment(url, token),
        "PATH": environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "GIT_ALLOW_PROTOCOL": url.scheme,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
    }


@dataclass(frozen=True, slots=True)
class Git:
    config: tuple[str, ...]
    env: Mapping[str, str]
    limits: Limits
    log: BuildLog

    def argv(self, *arguments: str) -> list[str]:
        # A file-size limit is what bounds the pack: git asks the server for no size beforehand.
        prlimit = shutil.which("prlimit")
        limited = [prlimit, f"--fsize={self.limits.repo_bytes}", "--"] if prlimit else []
        options = [option for entry in self.config for option in ("-c", entry)]
        return [*limited, "git", *options, *arguments]

    async def run(self, *arguments: str) -> Finished:
        """Its output is for us to judge: a person gets our sentence about it."""
        return await run_process(
            self.argv(*arguments),
            cwd=Path(tempfile.gettempdir()),
            env=self.env,
            log=self.log,
            phase=Phase.CLONE,
            kill=_kill_group,
            quiet=True,
            own_session=False,
        )


async def require_size(git: Git, repo: Path, revision: str) -> int:
    """Measures the checkout of ``revision`` before a byte of it is written; returns its submodules' count.

    Raises ``BuildError`` (``limit_repository_bytes``).
    """
    process = await asyncio.create_subprocess_exec(
        *git.argv("-C", str(repo), "ls-tree", "-r", "--format=%(objecttype) %(objectsize)", revision),
        env=git.env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        process_group=0,
    )
    assert process.stdout is not None
    files = size = submodules = 0
    try:
        async for line in process.stdout:
            kind, _, object_size = line.partition(b" ")
            files += 1
            submodules += kind == b"commit"
            size += int(object_size) if kind == b"blob" else 0
            if files > MAX_CHECKOUT_FILES or size > git.limits.repo_bytes:
                raise BuildError(
                    Code.LIMIT_REPOSITORY,
                    f"The repository's files are more than {MAX_CHECKOUT_FILES:,} or larger than "
                    f"{git.limits.repo_bytes:,} bytes.",
                    "Take what the build does not need out of the repository.",
                )
    finally:
        _kill_group(process)
        await process.wait()
    return submodules


def _kill_group(process: Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
