"""No test may leave a process behind."""

from collections.abc import Iterator

import psutil
import pytest

_GRACE_S = 20.0


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left_behind() -> Iterator[None]:
    """Fails the worker's last test, with their command lines, when processes outlive every fixture."""
    yield
    _, alive = psutil.wait_procs(psutil.Process().children(recursive=True), timeout=_GRACE_S)
    lines = [_describe_and_kill(process) for process in alive]
    if lines:
        pytest.fail("Processes were left behind:\n" + "\n".join(lines))


def is_alive(process: psutil.Process) -> bool:
    """False also for one that has ended while its new parent, in a container, has not noticed."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def name_of(process: psutil.Process) -> str:
    """Empty for one that has ended."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def _describe_and_kill(process: psutil.Process) -> str:
    try:
        line = f"{process.pid}: {' '.join(process.cmdline())}"
        process.kill()
    except psutil.NoSuchProcess:
        return f"{process.pid}: ended late"
    return line
