"""The keeper by itself, with small commands in place of a server."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scalemesh.embedded import keeper

_GRACE_S = 60.0


def start(directory: Path, script: str) -> "subprocess.Popen[bytes]":
    program = [sys.executable, "-I", "-S", keeper.__file__]
    files = [str(directory / "log"), str(directory / "pid")]
    command = [*program, *files, str(int(signal.SIGTERM)), "/bin/sh", "-c", script]
    return subprocess.Popen(command, stdin=subprocess.PIPE)


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _GRACE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def said(directory: Path, text: str) -> bool:
    return (directory / "log").exists() and text in (directory / "log").read_text()


def close(process: "subprocess.Popen[bytes]") -> int:
    """Ends the keeper's standard input and returns its status."""
    process.communicate(timeout=_GRACE_S)
    return process.returncode


def test_the_keeper_exits_with_the_status_of_its_server(tmp_path: Path) -> None:
    process = start(tmp_path, "exit 7")
    assert process.wait(_GRACE_S) == 7
    close(process)


def test_the_end_of_standard_input_sends_the_stop_signal(tmp_path: Path) -> None:
    process = start(tmp_path, "trap 'echo stopped; exit 0' TERM; echo up; while :; do sleep 0.01; done")
    until(lambda: said(tmp_path, "up"))
    assert close(process) == 0
    assert said(tmp_path, "stopped")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name)
def test_signals_meant_for_the_whole_service_leave_the_server_running(
    number: signal.Signals, tmp_path: Path
) -> None:
    process = start(tmp_path, "echo up; exec sleep 60")
    until(lambda: said(tmp_path, "up"))
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.2)
    assert close(process) == 128 + signal.SIGTERM


def test_a_second_keeper_waits_for_the_first_ones_server(tmp_path: Path) -> None:
    first = start(tmp_path, "echo first; exec sleep 60")
    until(lambda: said(tmp_path, "first"))
    second = start(tmp_path, "echo second; exec sleep 60")
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.2)
    assert said(tmp_path, "first")
    close(first)
    until(lambda: said(tmp_path, "second"))
    close(second)


def test_a_keeper_that_still_waits_ends_with_its_parent(tmp_path: Path) -> None:
    first = start(tmp_path, "echo first; exec sleep 60")
    until(lambda: said(tmp_path, "first"))
    assert close(start(tmp_path, "echo second")) == 0
    assert not said(tmp_path, "second")
    close(first)


def test_a_log_that_grows_too_large_starts_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start(tmp_path, "head -c 9000000 /dev/zero; echo up; exec sleep 60")
    until(lambda: log.exists() and log.stat().st_size > 9_000_000)
    process.send_signal(signal.SIGHUP)  # as good as the next minute
    until(lambda: log.stat().st_size == 0)
    close(process)


def test_a_command_that_can_not_be_run_is_explained_in_the_log(tmp_path: Path) -> None:
    program = [sys.executable, "-I", "-S", keeper.__file__, str(tmp_path / "log"), str(tmp_path / "pid")]
    completed = subprocess.run([*program, "15", "/none"], stdin=subprocess.DEVNULL, check=False)
    assert completed.returncode == 1
    assert said(tmp_path, "No such file or directory: '/none'")
