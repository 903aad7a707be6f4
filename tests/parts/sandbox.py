"""The builder's own sandbox, without a build."""

from collections.abc import Iterator
from contextlib import contextmanager

from builder.contract import SandboxMode
from builder.live import StdoutLive
from builder.log import BuildLog
from builder.prepare import make_sandbox
from builder.run import Runner
from builder.workspace import open_workspace

UID = 210_000


@contextmanager
def open_runner() -> Iterator[Runner]:
    """What runs commands in it, with a workspace that lasts as long as the block."""
    log = BuildLog(StdoutLive(), first_seq=1, mask=lambda text: text, longest_secret_bytes=0)
    with open_workspace(None) as workspace:
        workspace.repo.mkdir()
        sandbox = make_sandbox(workspace, build_uid=UID, processes=512, shown=(), node=None, python=None)
        if sandbox.uid is not None:
            workspace.hand_over(sandbox.uid)
        yield Runner(SandboxMode.BWRAP, sandbox, workspace, 2**30, log)
