"""What the kernel says of a server's turns."""

import os
import re
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from scalemesh.turns import TURN_NS
from tests.parts.server_process import server_process


def turn_ns(text: str) -> int | None:
    """Of a process, by what the kernel shows in its ``sched``; None where all turns are of one length."""
    found = re.search(r"^se\.slice *: *([0-9]+)$", text, re.MULTILINE)
    return int(found[1]) if found else None


@pytest.fixture
def ordinary_ns() -> int:
    """An ordinary process's turn, where the kernel tells it and we are one."""
    own = Path("/proc/self/sched")
    found = turn_ns(own.read_text()) if own.exists() else None
    if found is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        pytest.skip("this kernel does not tell how long a turn is, or we were given a policy of our own")
    return found


TAKE = "from scalemesh.turns import take_short_turns\ntake_short_turns()\n"
SHOW = "print(open('/proc/self/sched').read())"


def output(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout


def test_a_server_takes_short_turns_and_what_it_starts_ordinary_ones(ordinary_ns: int) -> None:
    assert turn_ns(output(TAKE + SHOW)) == TURN_NS
    start = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {SHOW!r}])"
    assert turn_ns(output(TAKE + start)) == ordinary_ns


def test_a_policy_that_was_given_is_kept(ordinary_ns: int) -> None:
    batch = "import os\nos.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))\n"
    kept = "assert os.sched_getscheduler(0) == os.SCHED_BATCH\n"
    assert turn_ns(output(batch + TAKE + kept + SHOW)) == ordinary_ns


async def test_a_server_that_serves_has_them(ordinary_ns: int, tmp_path: Path) -> None:
    async with (
        aiohttp.ClientSession() as session,
        server_process(tmp_path / "data", session) as server,
    ):
        assert turn_ns(Path(f"/proc/{server.process.pid}/sched").read_text()) == TURN_NS
