"""The builder as a child process on this machine."""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path

import psutil

from scalemesh.builds.launcher import LaunchFailed, RunningBuild
from scalemesh.builds.workspaces import new_workspace, remove_abandoned
from scalemesh.model import BuildID, DeploymentID, Failure
from scalemesh.tasks import to_its_end

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]

# The builder writes its log and exits within 5 s of being told; a builder that doesn't is killed.
_STOP_GRACE_S = 8.0
# Each takes some milliseconds, and the first ends whatever forks. What outruns all would outrun more.
_KILL_ROUNDS = 100
# Of what the builder itself says on stderr, the end is worth a line in the server's log.
_STDERR_TAIL_BYTES = 4096
# As root, each build has a user of its own, so that one can't signal another or fill its limits. Drawn at
# random: several servers on a machine need not agree on them.
_BUILD_UIDS = range(210_000, 310_000)

# What of the server's environment the builder needs; nothing of it reaches the user's commands but
# proxies and certificates, which the builder picks out itself.
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO")
_PASSED_ON_PREFIXES = ("AWS_", "NPM_CONFIG_", "NODE_EXTRA_", "YARN_", "PIP_", "CURL_CA_", "REQUESTS_CA_")
_PASSED_ON_ANY_CASE = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


class ProcessLauncher:
    """``python -m builder`` in a session of its own, ended with this process by the pipe that it reads.

    Half of a small build would be Python's start and imports, so one builder stands by.
    """

    outlives_server = False

    def __init__(self) -> None:
        self._standby: Process | None = None
        self._wants_standby = asyncio.Event()
        self._closed = False

    async def launch(self, deployment_id: DeploymentID, environment: Mapping[str, str]) -> RunningBuild:
        try:
            with contextlib.ExitStack() as at_end:
                workspace = at_end.enter_context(new_workspace())
                process = await self._take()
                # Over the pipe, since every process of a user can read another's environment.
                await _tell(
                    process,
                    {
                        **environment,
                        "SUPERVISED": "1",
                        "BUILD_UID": str(_BUILD_UIDS.start + secrets.randbelow(len(_BUILD_UIDS))),
                        "WORKSPACE": str(workspace),
                    },
                )
                build = ProcessBuild(process, deployment_id, at_end.pop_all().close)
                # Not before: a build needs the machine more than the next one does.
                build.ended.add_done_callback(lambda _: self._wants_standby.set())
                return build
        except OSError as error:
            raise LaunchFailed(str(error)) from error

    async def resume(self, build: BuildID) -> RunningBuild | None:
        return None

    async def list_builds(self) -> Collection[BuildID]:
        return ()

    async def remove(self, build: BuildID) -> None:
        pass

    async def keep_standby(self) -> None:
        """Has a builder stand by from now on, and again whenever a build has ended, until ``close``.

        Each time it also removes what killed servers have left, which no build should wait for.
        """
        while not self._closed:
            self._wants_standby.clear()
            if self._standby is None or self._standby.returncode is not None:
                try:
                    self._standby = await _spawn()
                except OSError as error:
                    logger.warning("no builder stands by: %s", error)
            await asyncio.to_thread(remove_abandoned)
            await self._wants_standby.wait()

    async def close(self, keeping: asyncio.Task[None]) -> None:
        """Ends ``keep_standby``, which runs as ``keeping``, and the builder that stands by.

        Not by a cancel, which would lose hold of a builder that is being started.
        """
        self._closed = True
        self._wants_standby.set()
        await asyncio.wait({keeping})
        if self._standby is not None:
            await _end(self._standby)

    async def _take(self) -> Process:
        """A builder that has no build yet."""
        process, self._standby = self._standby, None
        if process is not None:
            if not _has_ended(process):
                return process
            await _end(process)
        return await _spawn()


@contextlib.asynccontextmanager
async def open_process_launcher(*, standby: bool) -> AsyncIterator[ProcessLauncher]:
    """A launcher; with ``standby`` it has a builder stand by as long as the scope is open."""
    launcher = ProcessLauncher()
    if not standby:
        yield launcher
        return
    keeping = asyncio.create_task(launcher.keep_standby(), name="keep a builder standing by")
    try:
        yield launcher
    finally:
        await to_its_end(launcher.close(keeping))


class ProcessBuild:
    def __init__(
        self,
        process: Process,
        deployment_id: DeploymentID,
        on_end: Callable[[], None],
    ) -> None:
        self._process = process
        self._deployment_id = deployment_id
        self._on_end = on_end
        self.ended = asyncio.create_task(self._watch(), name=f"builder of {deployment_id}")

    async def wait(self) -> int:
        return await asyncio.shield(self.ended)

    async def stop(self, *, canceled: bool = False) -> None:
        # One of the two, or the builder may hear of the wrong one first.
        if canceled:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        else:
            self._let_go()
        try:
            async with asyncio.timeout(_STOP_GRACE_S):
                await self.wait()
        except TimeoutError:
            # Where it has ended, only its directory takes so long, and its number may be another's by now.
            if self._process.returncode is None:
                logger.warning("the builder of %s does not stop, killing it", self._deployment_id)
                with contextlib.suppress(psutil.NoSuchProcess):
                    await asyncio.to_thread(_kill_tree, psutil.Process(self._process.pid))
            await self.wait()

    async def leave(self) -> None:
        await self.stop()

    def explain(self) -> Failure | None:
        return None

    def _let_go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def _watch(self) -> int:
        assert self._process.stderr is not None
        tail = b""
        while chunk := await self._process.stderr.read(_STDERR_TAIL_BYTES):
            tail = (tail + chunk)[-_STDERR_TAIL_BYTES:]
        status = await self._process.wait()
        self._let_go()
        await asyncio.to_thread(self._on_end)
        if tail:
            logger.warning(
                "the builder of %s (exit status %d) said: %s",
                self._deployment_id,
                status,
                tail.decode(errors="replace").strip(),
            )
        return status


async def _spawn() -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "builder",
        "--standby",
        cwd=ROOT,
        env=_passed_on(os.environ),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


async def _tell(process: Process, variables: Mapping[str, str]) -> None:
    """Starts the build. Raises ``OSError`` where the builder is gone."""
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(dict(variables)).encode() + b"\n")
        await process.stdin.drain()
    except OSError:
        await _end(process)
        raise


def _has_ended(process: Process) -> bool:
    """True also where the event loop has not heard of it yet: it would write into a pipe without a reader."""
    try:
        return process.returncode is not None or not _is_alive(psutil.Process(process.pid))
    except psutil.NoSuchProcess:
        return True


async def _end(process: Process) -> None:
    """Ends a builder that has no build."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    # Reads its pipes to their ends as well, so that nothing of it is open afterwards.
    await process.communicate()


def _kill_tree(builder: psutil.Process) -> None:
    """The builder's commands have sessions of their own, so a process group is not all of it.

    It is stopped before them and ends after them: so it starts nothing meanwhile, and what one of them forked
    after a look is still below it at the next, on Linux also where its parent is gone (``builder.run``).
    Raises ``psutil.NoSuchProcess`` where the builder is gone.
    """
    builder.suspend()
    looks_in_vain = 0
    for _ in range(_KILL_ROUNDS):
        alive = [child for child in builder.children(recursive=True) if _is_alive(child)]
        # A parent that is reaped in the middle of a look hides its children from that look.
        looks_in_vain = 0 if alive else looks_in_vain + 1
        if looks_in_vain == 2:
            break
        for child in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    builder.kill()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def _passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if name in _PASSED_ON
        or name.upper().startswith(_PASSED_ON_PREFIXES)
        or name.lower() in _PASSED_ON_ANY_CASE
    }
