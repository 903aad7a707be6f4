"""Runs what the plan says: fetch the package manager, install, build."""

import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath

from builder.caches import Caches
from builder.detect import Plan
from builder.errors import BuildError, Code
from builder.evidence import why_failed
from builder.log import BuildLog, Phase
from builder.record import Progress
from builder.run import Runner
from builder.toolchain import is_on_system_path


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

    Raises ``BuildError`` (``tool_missing``, and every code of ``builder.rules``).
    """
    progress.phase = Phase.INSTALL
    await runner.check()
    # With NODE_ENV=production a package manager would leave the build tools out.
    install_env = {name: value for name, value in env.items() if name != "NODE_ENV"}
    if plan.python is not None:
        await _install_python(plan, runner, log, root, install_env)
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
            raise why_failed(Phase.BUILD, command, finished, plan=plan, runner=runner, root=root, env=env)


async def _install_python(
    plan: Plan, runner: Runner, log: BuildLog, root: PurePosixPath, env: Mapping[str, str]
) -> None:
    """Makes the virtual environment whose programs are first on the PATH of ``env``, and fills it."""
    assert plan.python is not None
    venv = f"-m venv {env['VIRTUAL_ENV']}"
    steps = [(f"python3 {venv}", f"{shlex.quote(str(runner.python))} {venv}")]
    if plan.python.command is not None:
        steps.append((plan.python.command, plan.python.command))
    # Where Python lies on the server is nobody's concern.
    for told, command in steps:
        log.say(Phase.INSTALL, f"$ {told}")
        finished = await runner.run(command, phase=Phase.INSTALL, directory=root, env=env)
        if finished.status != 0:
            raise why_failed(Phase.INSTALL, told, finished, plan=plan, runner=runner, root=root, env=env)


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
    log.say(Phase.INSTALL, f"That failed (exit status {finished.status}), so the cache is left out.")
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
            raise why_failed(Phase.INSTALL, command, finished, plan=plan, runner=runner, root=root, env=env)
