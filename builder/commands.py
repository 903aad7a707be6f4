"""Runs what the plan says: fetch the package manager, install, build; and says why one failed."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from builder.caches import Caches
from builder.detect import Plan
from builder.errors import BuildError, Code
from builder.log import BuildLog, Phase
from builder.process import Finished
from builder.record import Progress
from builder.run import Runner
from builder.toolchain import is_on_system_path

_OUT_OF_DATE = re.compile(
    r"can only install packages when your package\.json and|ERR_PNPM_OUTDATED_LOCKFILE"
    r"|Your lockfile needs to be updated|YN0028"
)
_KILLED = {137: "it was killed, often for want of memory", 127: "the command was not found"}


async def run_plan(
    plan: Plan,
    runner: Runner,
    log: BuildLog,
    progress: Progress,
    root: PurePosixPath,
    env: Mapping[str, str],
    caches: Caches,
) -> None:
    """Runs the plan's commands in ``root`` of the repository, those that the caches leave to do.

    Raises ``BuildError`` (``install_failed``, ``lockfile_out_of_date``, ``build_failed``,
    ``out_of_memory``, ``tool_missing``).
    """
    progress.phase = Phase.INSTALL
    await runner.check()
    # With NODE_ENV=production a package manager would leave the build tools out.
    install_env = {name: value for name, value in env.items() if name != "NODE_ENV"}
    if not await _install_over_cache(plan, runner, log, root, install_env, caches):
        await _install(plan, runner, log, root, install_env)
    progress.installed = True
    await caches.restore_framework()
    if plan.build is not None:
        progress.phase = Phase.BUILD
        command = plan.build.value
        log.say(Phase.BUILD, f"$ {command}")
        finished = await runner.run(command, phase=Phase.BUILD, directory=root, env=env)
        if finished.status != 0:
            raise BuildError(
                Code.BUILD_FAILED,
                f"The build command `{command}` failed: {_ended(finished)}.",
                "The lines above say why. It ran with CI=true; try the same command in a fresh clone.",
            )


async def _install_over_cache(
    plan: Plan, runner: Runner, log: BuildLog, root: PurePosixPath, env: Mapping[str, str], caches: Caches
) -> bool:
    """Whether the dependencies are there now, out of the cache."""
    if not await caches.restore_dependencies():
        return False
    assert not isinstance(caches.dependencies, str)
    if caches.dependencies.install is None:
        return True
    command, _ = caches.dependencies.install
    log.say(Phase.INSTALL, f"$ {command}")
    directory = plan.manager.directory if plan.manager is not None else root
    finished = await runner.run(command, phase=Phase.INSTALL, directory=directory, env=env)
    if finished.status == 0:
        return True
    log.say(Phase.INSTALL, f"That failed ({_ended(finished)}), so the cache is left out.")
    await caches.remove_dependencies()
    return False


async def _install(
    plan: Plan, runner: Runner, log: BuildLog, root: PurePosixPath, env: Mapping[str, str]
) -> None:
    if plan.manager is not None and plan.manager.name != "npm" and not is_on_system_path(plan.manager.name):
        fetch = f"npm install --global --prefix {runner.view / 'tools'} {plan.manager.package}"
        log.say(Phase.INSTALL, f"$ {fetch}")
        fetched = await runner.run(fetch, phase=Phase.INSTALL, directory=root, env=env)
        if fetched.status != 0:
            raise BuildError(
                Code.TOOL_MISSING,
                f"{plan.manager.package} could not be fetched from the npm registry.",
                "Check the packageManager version in package.json, or deploy again in a minute.",
            )
    if plan.install is not None:
        command = plan.install.value
        directory = plan.manager.directory if plan.manager is not None else root
        log.say(Phase.INSTALL, f"$ {command}")
        finished = await runner.run(command, phase=Phase.INSTALL, directory=directory, env=env)
        if finished.status != 0:
            raise _install_failed(command, finished)


def _install_failed(command: str, finished: Finished) -> BuildError:
    if _OUT_OF_DATE.search("\n".join(finished.tail)):
        return BuildError(
            Code.LOCKFILE_OUT_OF_DATE,
            f"`{command}` failed: the lock file does not match package.json.",
            "Install once on your machine, commit the changed lock file and deploy again.",
        )
    return BuildError(
        Code.INSTALL_FAILED,
        f"The install command `{command}` failed: {_ended(finished)}.",
        "The lines above say why. Try the same command in a fresh clone of the repository.",
    )


def _ended(finished: Finished) -> str:
    status = finished.status if finished.status >= 0 else 128 - finished.status
    reason = _KILLED.get(status)
    return f"exit status {status}" + (f" ({reason})" if reason else "")
