"""Executes the user's commands, each contained, limited and gone at its end."""

import asyncio
import ctypes
import os
import shlex
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from builder.contract import MIB, SandboxMode
from builder.errors import BuildError, Code, ExitStatus
from builder.log import BuildLog, Phase
from builder.memory import oom_kills, watch_memory
from builder.process import Finished, run_process
from builder.sandbox import Sandbox, sandboxed, unsandboxed
from builder.workspace import VIEW, Workspace

if TYPE_CHECKING:
    import psutil

OUTER_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
"""Of bubblewrap and setpriv themselves: nothing of the user's, who could give them an LD_PRELOAD."""

PR_SET_CHILD_SUBREAPER = 36
KILL_ROUNDS = 100


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs commands in ``workspace`` under ``sandbox``."""

    mode: SandboxMode
    sandbox: Sandbox
    workspace: Workspace
    memory_bytes: int
    log: BuildLog
    python: Path | None = None
    """What makes a virtual environment; ``None`` where the plan needs none."""

    @property
    def view(self) -> PurePosixPath:
        """The path of ``workspace.build`` as commands see it."""
        return VIEW if self.mode is SandboxMode.BWRAP else PurePosixPath(self.workspace.build)

    async def run(
        self, command: str, *, phase: Phase, directory: PurePosixPath, env: Mapping[str, str]
    ) -> Finished:
        """Runs ``command`` with ``sh -c`` in ``directory`` of the repository.

        Raises ``BuildError`` (``out_of_memory``). No process of the command is left, however it ends.
        """
        argv = self._argv(command, phase, directory, env)
        watch: asyncio.Task[int] | None = None

        def kill(process: Process) -> None:
            kill_tree(process, self.mode)

        def started(process: Process) -> None:
            nonlocal watch
            watch = asyncio.create_task(watch_memory(process, self.memory_bytes, kill))

        killed_before = oom_kills()
        try:
            finished = await run_process(
                argv,
                cwd=self.workspace.root,
                env=OUTER_ENV,
                log=self.log,
                phase=phase,
                kill=kill,
                started=started,
            )
            if watch is not None and watch.done() and watch.result() > self.memory_bytes:
                used, limit = watch.result() // MIB, self.memory_bytes // MIB
                raise _out_of_memory(f"used {used:,} MiB of memory; the limit is {limit:,} MiB", command)
            if finished.status != 0 and oom_kills() > killed_before:
                raise _out_of_memory(
                    "was ended by the kernel, because it had used all of its memory", command
                )
            return finished
        finally:
            if watch is not None:
                watch.cancel()
                await asyncio.wait({watch})

    async def check(self) -> None:
        """Raises ``BuildError`` (``tool_missing``) where bubblewrap does not run on this machine."""
        _adopt_orphans()
        if self.mode is SandboxMode.NONE:
            return
        if self.sandbox.tools.bwrap is not None:
            argv = self._argv("true", Phase.INSTALL, PurePosixPath("."), {"PATH": OUTER_ENV["PATH"]})
            finished = await run_process(
                argv,
                cwd=self.workspace.root,
                env=OUTER_ENV,
                log=self.log,
                phase=Phase.INSTALL,
                kill=lambda process: kill_tree(process, self.mode),
            )
            if finished.status == 0:
                return
        raise BuildError(
            Code.TOOL_MISSING,
            "The sandbox (bubblewrap) does not run on this machine, so the build was not started.",
            "Install bubblewrap and allow user namespaces, or set BUILD_SANDBOX=none on your own machine.",
            status=ExitStatus.INFRASTRUCTURE,
        )

    def contained(self, script: str, phase: Phase) -> list[str]:
        """The argument list of a script of ours, contained like a command and without its variables."""
        return self._argv(script, phase, PurePosixPath("."), OUTER_ENV)

    def _argv(
        self, command: str, phase: Phase, directory: PurePosixPath, env: Mapping[str, str]
    ) -> list[str]:
        env_file = self.workspace.etc / f"env-{phase}"
        env_file.unlink(missing_ok=True)
        text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in env.items())
        env_file.write_text(text)
        env_file.chmod(0o400)
        if self.sandbox.uid is not None:
            os.chown(env_file, self.sandbox.uid, self.sandbox.uid)
        contain = sandboxed if self.mode is SandboxMode.BWRAP else unsandboxed
        cwd = self.view / "repo" / directory
        return contain(self.sandbox, env_file=env_file, cwd=cwd, command=command)


def kill_tree(process: Process, mode: SandboxMode) -> None:
    """Ends ``process`` and all that it started, at once.

    Under bubblewrap the kernel does it: the sandbox's first process dies with bubblewrap, and a pid
    namespace dies with its first process. Without it, whatever left the session was adopted by us.
    """
    if mode is SandboxMode.BWRAP and process.returncode is None:
        _kill_first_process(process)
    # The whole group: what the kernel was about to fork as it was looked at is in it too.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if mode is SandboxMode.NONE:
        _kill_descendants()


def _kill_first_process(bwrap: Process) -> None:
    """Of the sandbox. In its first milliseconds it does not yet die with bubblewrap, but waits for it.

    It leaves bubblewrap's process group after that wait, so one that is forked too late to be found here
    never does, and ends with the group.
    """
    import psutil

    with suppress(psutil.NoSuchProcess):
        outside = psutil.Process(bwrap.pid)
        # So that it starts nothing between the look and its own end.
        outside.suspend()
        for child in outside.children():
            with suppress(psutil.NoSuchProcess):
                child.kill()


def _kill_descendants() -> None:
    import psutil

    looks_in_vain = 0
    for _ in range(KILL_ROUNDS):
        alive = [
            child
            for child in psutil.Process().children(recursive=True)
            if _status_of(child) not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        ]
        # A parent that is reaped while psutil looks hides its children from that look, not from the next.
        looks_in_vain = 0 if alive else looks_in_vain + 1
        if looks_in_vain == 2:
            return
        for child in alive:
            with suppress(psutil.NoSuchProcess):
                child.kill()


def _status_of(process: "psutil.Process") -> str:
    import psutil

    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_DEAD)


def _adopt_orphans() -> None:
    """On Linux what lost its parent becomes ours instead of init's, and so can be found.

    That is a daemon without a sandbox, and a sandbox's first process, which waits for ever where bubblewrap
    ended as it started. One that ends after bubblewrap stays a zombie until we end.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _out_of_memory(how: str, command: str) -> BuildError:
    return BuildError(
        Code.OUT_OF_MEMORY,
        f"`{command}` {how}.",
        "Make the build need less memory, for example without source maps or with fewer parallel workers.",
    )
