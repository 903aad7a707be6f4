"""Kills at random moments, and then the invariants. ``FAULTS_SEED`` draws the same deploys and kills."""

import os
import random
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.faults import invariants
from tests.faults.plan import Site, draw_plan
from tests.faults.storm import Storm, storm
from tests.parts.git import GitServer
from tests.parts.server import eventually

_ENDS_S = 120.0


async def test_a_few_kills_leave_nothing_broken(git_server: GitServer) -> None:
    await _weather(git_server, deploys=6, kills=4)


@pytest.mark.faults
@pytest.mark.skipif(os.environ.get("TEST_FAULTS") != "1", reason="takes minutes: `make test-faults`")
async def test_fifty_kills_over_fifty_deploys_leave_nothing_broken(git_server: GitServer) -> None:
    statuses = await _weather(git_server, deploys=50, kills=50)
    assert statuses == {"ready", "failed", "canceled", "superseded"}


async def _weather(git: GitServer, *, deploys: int, kills: int) -> set[str]:
    """The statuses that there were at the end."""
    seed = int(os.environ.get("FAULTS_SEED") or random.randrange(1_000_000))
    print(f"FAULTS_SEED={seed}")  # noqa: T201 - for who wants it again
    plan = draw_plan(seed, deploys=deploys, kills=kills)
    # A short name, so that its sockets fit below it.
    with tempfile.TemporaryDirectory(prefix="sm-") as directory:
        root = Path(directory)
        try:
            async with storm(root, git, plan) as after:
                assert len(after.killed) == kills
                statuses = await _assert_whole(after)
                print(Counter(after.killed), Counter(statuses))  # noqa: T201 - what this seed came to
            await eventually(
                lambda: {
                    "processes": invariants.processes_left(root, after.marker),
                    "files": invariants.files_left(root),
                },
                lambda left: not any(left.values()),
                within_s=_ENDS_S,
            )
        except BaseException as error:
            log = (root / "server.log").read_text(errors="replace")
            error.add_note(f"FAULTS_SEED={seed}. The server's log ends with:\n{log[-6000:]}")
            if keep := os.environ.get("FAULTS_LOG"):
                Path(keep).write_text(log)
            raise
        return set(statuses)


async def _assert_whole(after: Storm) -> list[str]:
    data_dir = after.data_dir
    # The storm is over, so this one is built as if there had been none.
    last = await after.ended(await after.deploy(Site.STATIC, changed=True))
    assert (last["status"], last["attempt"]) == ("ready", 1)
    logs = {deployment_id: await after.logs(deployment_id) for deployment_id in after.deployments}
    found = {
        check.__name__: await check(data_dir)
        for check in (
            invariants.building_without_a_lease,
            invariants.ended_without_an_end,
            invariants.tried_too_often,
            invariants.damaged_sites,
            invariants.live_but_not_ready,
            invariants.missing_records,
        )
    }
    found["broken_logs"] = await invariants.broken_logs(data_dir, logs)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    rows = await invariants.read_rows(data_dir, "SELECT id, status FROM deployments")
    assert {row["id"] for row in rows} == set(after.deployments)
    return [row["status"] for row in rows]
