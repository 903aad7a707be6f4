"""However the process ends, its servers end too, and the next one finds everything in order."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from scalemesh.embedded import embedded_servers, hold_data_dir
from tests.parts.leftovers import is_alive, name_of

_GRACE_S = 60.0

Holder = subprocess.Popen[bytes]


def start_holder(data_dir: Path) -> Holder:
    """A process of its own, in a process group of its own, whose servers are ready."""
    command = [sys.executable, "-m", "tests.embedded.holder", str(data_dir)]
    holder = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"ready\n"
    return holder


def end(holder: Holder, send: Callable[[int], None]) -> None:
    """Ends ``holder`` and asserts that everything it started ends with it."""
    started = psutil.Process(holder.pid).children(recursive=True)
    assert {"postgres", "valkey-server"} <= {name_of(process) for process in started}
    send(holder.pid)
    holder.communicate(timeout=_GRACE_S)
    deadline = time.monotonic() + _GRACE_S
    while any(map(is_alive, started)):
        assert time.monotonic() < deadline, started
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_no_process_outlives_a_parent_that_is_ended_by(number: signal.Signals, tmp_path: Path) -> None:
    end(start_holder(tmp_path), lambda pid: os.kill(pid, number))


def test_ctrl_c_stops_the_servers_through_their_parent(tmp_path: Path) -> None:
    end(start_holder(tmp_path), lambda pid: os.killpg(pid, signal.SIGINT))
    assert "database system is shut down" in (tmp_path / "postgres.log").read_text()
    assert "ready to exit" in (tmp_path / "valkey.log").read_text()


async def test_a_start_right_after_a_kill_waits_for_the_old_servers_to_end(tmp_path: Path) -> None:
    holder = start_holder(tmp_path)
    started = psutil.Process(holder.pid).children(recursive=True)
    holder.kill()
    holder.communicate(timeout=_GRACE_S)
    with hold_data_dir(tmp_path) as data_dir:
        async with embedded_servers(data_dir):
            assert not any(map(is_alive, started))
    assert "automatic recovery" not in (tmp_path / "postgres.log").read_text()
