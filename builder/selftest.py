"""``python -m builder --check-sandbox``: whether a build could be contained here, before there is one."""

from datetime import UTC, datetime

from builder.contract import SandboxMode, read_contract
from builder.errors import BuildError, ExitStatus
from builder.live import StdoutLive
from builder.log import BuildLog
from builder.prepare import make_sandbox
from builder.run import Runner
from builder.workspace import open_workspace


async def check_sandbox() -> ExitStatus:
    """Runs nothing in a sandbox like a build's; where that fails, bubblewrap's reason is printed."""
    defaults = read_contract({"GITHUB_REPO_URL": "none", "projectID": "none"}, now=datetime.now(UTC))
    log = BuildLog(live := StdoutLive(), first_seq=1, mask=lambda text: text, longest_secret_bytes=0)
    with open_workspace(None) as workspace:
        workspace.repo.mkdir()
        try:
            sandbox = make_sandbox(
                workspace,
                build_uid=defaults.build_uid,
                processes=defaults.limits.processes,
                shown=(),
                node=None,
                python=None,
            )
            if sandbox.uid is not None:
                workspace.hand_over(sandbox.uid)
            await Runner(SandboxMode.BWRAP, sandbox, workspace, defaults.limits.memory_bytes, log).check()
        except BuildError as error:
            print(error.failure.message)  # noqa: T201
            return error.status
        finally:
            log.finish()
            await live.close(1.0)
    return ExitStatus.READY
