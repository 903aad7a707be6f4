"""The launcher of this machine, with the real builder: whatever ends a build, nothing of it is left."""

import asyncio
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from scalemesh.artifacts import DirectoryStore
from scalemesh.builds import process
from scalemesh.builds.launcher import LaunchFailed, RunningBuild
from scalemesh.builds.process import ProcessLauncher, open_process_launcher
from scalemesh.logs.archive import fetch_build_log
from scalemesh.model import DeploymentID, ProjectID
from tests.parts.git import GitServer
from tests.parts.leftovers import is_alive, name_of
from tests.parts.processes import command_line, processes_with
from tests.parts.server import eventually

DEPLOYMENT = DeploymentID("dep1")
PROJECT = ProjectID("proj1")
FindBuilders = Callable[[], list[psutil.Process]]
_BUILDER = " -m builder "
SANDBOXES = pytest.mark.parametrize("sandbox", ["bwrap", "none"])


@dataclass(frozen=True, slots=True)
class Stubborn:
    """A build that ignores SIGTERM and has put a process into a session of its own. ``word`` finds both."""

    running: RunningBuild
    word: str
    artifacts: Path
    workspaces: Path
    builders: FindBuilders

    @property
    def builder(self) -> psutil.Process:
        (builder,) = self.builders()
        return builder

    async def code(self) -> str | None:
        """The failure that the builder has recorded."""
        log = await fetch_build_log(DirectoryStore(self.artifacts), PROJECT, DEPLOYMENT, 1)
        assert log is not None
        assert log.result is not None
        return log.result.failure.code if log.result.failure else None

    async def assert_gone(self) -> None:
        await eventually(lambda: processes_with(self.word), lambda found: not found)
        assert list(self.workspaces.iterdir()) == []


Environment = Callable[[], Awaitable[dict[str, str]]]
StartStubborn = Callable[[str], Awaitable[Stubborn]]


@pytest.fixture
def workspaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where builds have their directories. Not in ``tmp_path``, which no other user can enter."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        monkeypatch.setattr(tempfile, "tempdir", directory)
        yield Path(directory)


@pytest.fixture
def builders() -> FindBuilders:
    """Finds the builders that this test has started: a server of the other tests may have one stand by."""

    def found() -> list[psutil.Process]:
        children = [child for child in psutil.Process().children() if is_alive(child)]
        return [child for child in children if _BUILDER in command_line(child) and child not in others]

    others: list[psutil.Process] = []
    others += found()
    return found


@pytest.fixture
def environment(git_server: GitServer, tmp_path: Path) -> Environment:
    """The variables of a build of a repository of its own: a page, and nothing to run."""

    async def make() -> dict[str, str]:
        name = f"process-{secrets.token_hex(6)}"
        return {
            "GITHUB_REPO_URL": await git_server.make_repo(name, {"index.html": "hi"}),
            "ALLOW_LOCAL_REPOS": "1",
            "projectID": PROJECT,
            "DEPLOYMENT_ID": DEPLOYMENT,
            "ARTIFACTS": str(tmp_path / "artifacts"),
        }

    return make


@pytest.fixture
async def stubborn(
    environment: Environment, tmp_path: Path, workspaces: Path, builders: FindBuilders
) -> AsyncIterator[StartStubborn]:
    started = []

    async def start(sandbox: str) -> Stubborn:
        number = secrets.randbelow(10**9) + 10**9
        command = f"trap '' TERM; setsid sleep {number} & sleep {number}"
        running = await ProcessLauncher().launch(
            DEPLOYMENT, {**await environment(), "BUILD_COMMAND": command, "BUILD_SANDBOX": sandbox}
        )
        started.append(running)
        sleep = f"sleep {number}"
        await eventually(
            lambda: [found for found in processes_with(sleep) if name_of(found) == "sleep"],
            lambda found: len(found) == 2,
        )
        return Stubborn(running, str(number), tmp_path / "artifacts", workspaces, builders)

    yield start
    for running in started:
        await running.stop()


@SANDBOXES
@pytest.mark.parametrize(("canceled", "code"), [(True, "canceled"), (False, "server_lost")])
async def test_stopping_ends_everything_and_the_log_tells_why(
    stubborn: StartStubborn, sandbox: str, canceled: bool, code: str
) -> None:
    build = await stubborn(sandbox)
    await build.running.stop(canceled=canceled)
    assert await build.running.wait() == 3
    await build.assert_gone()
    assert await build.code() == code
    await build.running.stop()


@SANDBOXES
async def test_a_builder_that_hears_nothing_is_killed_with_all_it_started(
    stubborn: StartStubborn, sandbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_STOP_GRACE_S", 0.2)
    build = await stubborn(sandbox)
    build.builder.suspend()
    await build.running.stop(canceled=True)
    assert await build.running.wait() == -signal.SIGKILL
    await build.assert_gone()


async def test_what_a_command_starts_while_its_builder_is_killed_ends_too(
    environment: Environment, workspaces: Path, builders: FindBuilders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_STOP_GRACE_S", 0)
    # A name of its own, and short, so that few of them are there at once.
    nap = f"sleep 1.{secrets.randbelow(10**9) + 10**9}"
    command = f"while :; do setsid {nap} & sleep 0.001; done"
    running = await ProcessLauncher().launch(
        DEPLOYMENT, {**await environment(), "BUILD_COMMAND": command, "BUILD_SANDBOX": "none"}
    )
    await eventually(lambda: [found for found in processes_with(nap) if name_of(found) == "sleep"])
    (builder,) = builders()
    builder.suspend()
    await running.stop(canceled=True)
    assert processes_with(nap) == []


async def test_a_sandbox_that_starts_while_its_builder_is_killed_ends_too(workspaces: Path) -> None:
    """Its first process waits for bubblewrap, which may be gone."""
    nap = f"sleep {secrets.randbelow(10**9) + 10**9}"
    for number in range(12):
        builder = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.builds.sandboxes", nap),
            env={**os.environ, "TMPDIR": str(workspaces)},
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert builder.stdout is not None
        assert await builder.stdout.readline() == b"ready\n"
        await asyncio.sleep(number * 0.004)
        process._kill_tree(psutil.Process(builder.pid))
        await builder.wait()
    await eventually(lambda: processes_with(nap), lambda found: not found, within_s=10)


async def test_a_killed_builder_leaves_neither_process_nor_directory(stubborn: StartStubborn) -> None:
    build = await stubborn("bwrap")
    build.builder.kill()
    assert await build.running.wait() == -signal.SIGKILL
    await build.assert_gone()


async def standing_by(launcher: ProcessLauncher, builders: FindBuilders) -> list[psutil.Process]:
    """The one builder, once the launcher has it: the system shows it before its start has returned."""
    await eventually(lambda: launcher._standby)
    (ready,) = builders()
    return [ready]


async def test_a_builder_that_is_being_started_is_ended_too(workspaces: Path) -> None:
    before = set(psutil.Process().children())

    def started() -> set[psutil.Process]:
        return set(psutil.Process().children()) - before

    async with open_process_launcher(standby=True):
        await eventually(started, every_s=0)
    assert started() == set()


async def test_a_builder_stands_by_for_the_next_build(
    environment: Environment, builders: FindBuilders, workspaces: Path
) -> None:
    async with open_process_launcher(standby=True) as launcher:
        ready = await standing_by(launcher, builders)
        used = []
        for _ in range(2):
            used.append(ready)
            running = await launcher.launch(DEPLOYMENT, await environment())
            assert builders() == ready
            assert await running.wait() == 0
            # After the build, not beside it.
            ready = await standing_by(launcher, builders)
            assert ready not in used
    assert builders() == []
    assert list(workspaces.iterdir()) == []


async def test_a_builder_that_died_standing_by_costs_no_build(
    environment: Environment, builders: FindBuilders
) -> None:
    async with open_process_launcher(standby=True) as launcher:
        (ready,) = await standing_by(launcher, builders)
        variables = await environment()
        ready.kill()
        while is_alive(ready):
            time.sleep(0.001)  # noqa: ASYNC251 - the loop stands still, so that the launcher hears of nothing
        running = await launcher.launch(DEPLOYMENT, variables)
        assert await running.wait() == 0


async def test_variables_of_a_build_are_in_no_process_list(
    environment: Environment, builders: FindBuilders
) -> None:
    running = await ProcessLauncher().launch(
        DEPLOYMENT, {**await environment(), "GIT_TOKEN": "tell-nobody", "BUILD_COMMAND": "sleep 3600"}
    )
    (builder,) = builders()
    await eventually(builder.name, lambda name: name == DEPLOYMENT)
    assert "tell-nobody" not in str(builder.environ()) + str(builder.cmdline())
    await running.stop()


async def test_a_builder_that_cannot_start_is_said_so(
    workspaces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "ROOT", workspaces / "nowhere")
    with pytest.raises(LaunchFailed):
        await ProcessLauncher().launch(DEPLOYMENT, {})
    assert list(workspaces.iterdir()) == []
