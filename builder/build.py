"""One build, from the contract to the exit status."""

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping
from pathlib import PurePosixPath
from typing import Any

from builder import keys
from builder.ahead import ReadAhead, read_ahead
from builder.caches import Caches, open_caches
from builder.checkout import read_checkout
from builder.clone import Commit, clone
from builder.collect import collect
from builder.commands import run_plan
from builder.contract import Contract
from builder.dependencies import NO_FACTS, read_facts
from builder.detect import Plan, Settings, detect
from builder.earlier import read_earlier
from builder.errors import BuildError, Code, ExitStatus, StoreError
from builder.gitauth import token_spellings
from builder.host import find_nodes
from builder.live import RedisLive, StdoutLive
from builder.log import BuildLog, LiveLog, Phase
from builder.masking import masker, secret_patterns
from builder.outputs import find_output
from builder.prepare import prepare_runner
from builder.publish import put_manifest, upload
from builder.record import Progress, log_object
from builder.site_rules import read_site_rules
from builder.stops import watch_stops
from builder.store import Store, open_store
from builder.workspace import Workspace, open_workspace

STOP_GRACE_S = 2.0
"""For the work to unwind after a stop. Its processes are killed at the beginning of it."""

LOG_PUT_S = 20.0
LIVE_CLOSE_S = 3.0
STOPPED_LOG_PUT_S = 1.5
STOPPED_LIVE_CLOSE_S = 1.0
"""A stopped builder is gone within 5 s, so these and the grace stay below that together."""

logger = logging.getLogger(__name__)


async def run_build(contract: Contract, environ: Mapping[str, str]) -> ExitStatus:
    """Builds, publishes and records. Whatever goes wrong is in the log and in the status.

    Raises ``ContractError`` where the process was not started as the contract says.
    """
    patterns = secret_patterns([*contract.build_env.values(), *token_spellings(contract.git_token)])
    log = BuildLog(
        live := _live_log(contract),
        first_seq=contract.log_first_seq,
        mask=masker(patterns),
        longest_secret_bytes=max((len(pattern.encode()) for pattern in patterns), default=0),
    )
    progress = Progress()
    async with watch_stops(contract) as stop, open_store(contract) as store:
        with open_workspace(contract.workspace) as workspace:
            opened: list[Caches] = []
            work = _work(contract, environ, workspace, store, log, progress, opened)
            error = await _outcome(work, stop)
            status = await _finish(contract, store, log, live, progress, error, stopped=stop.done())
            if opened and progress.installed and status in (ExitStatus.READY, ExitStatus.BUILD_FAILED):
                await _save_caches(opened[0], stop)
    return status


async def _save_caches(caches: Caches, stop: "asyncio.Future[BuildError]") -> None:
    """After all that anybody waits for. A stop ends it, and nothing is lost but time later."""
    saving = asyncio.create_task(caches.save(), name="save caches")
    waited: set[asyncio.Future[Any]] = {saving, stop}
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    saving.cancel()
    await asyncio.wait({saving}, timeout=STOP_GRACE_S)


def _live_log(contract: Contract) -> LiveLog:
    if contract.redis_url is None:
        return StdoutLive()
    return RedisLive(contract.redis_url, contract.project_id, contract.deployment_id)


async def _outcome(
    work: Coroutine[None, None, None], stop: "asyncio.Future[BuildError]"
) -> BuildError | None:
    """Why the work ended; None where it is done. A stop cancels it, which kills its processes."""
    task = asyncio.create_task(work, name="build")
    waited: set[asyncio.Future[Any]] = {task, stop}
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=STOP_GRACE_S)
        return stop.result()
    try:
        task.result()
    except BuildError as error:
        return error
    except StoreError as error:
        logger.error("The artifact store failed: %s", error)  # noqa: TRY400 - the sentence says it all
        return BuildError(
            Code.STORE_UNAVAILABLE,
            "The artifact store did not take the site.",
            "Deploy again in a minute. If it stays so, the server's own log says more.",
            status=ExitStatus.INFRASTRUCTURE,
        )
    except Exception:
        logger.exception("The builder failed.")
        return BuildError(
            Code.INTERNAL,
            "The builder itself failed, not your build.",
            "Deploy again in a minute. If it stays so, the server's own log says more.",
            status=ExitStatus.INFRASTRUCTURE,
        )
    return None


async def _work(
    contract: Contract,
    environ: Mapping[str, str],
    workspace: Workspace,
    store: Store,
    log: BuildLog,
    progress: Progress,
    opened: list[Caches],
) -> None:
    """The phases in order. ``opened`` gets the build's caches where it has any."""
    earlier = asyncio.create_task(read_earlier(contract, store))
    try:
        async with read_ahead(contract, store) as archives:
            commit, plan = await _build(contract, environ, workspace, store, archives, log, progress, opened)
        progress.phase = Phase.COLLECT
        root = PurePosixPath("repo") / contract.root_directory
        output = find_output(workspace.build, root, plan)
        site = workspace.build / root / output
        is_source = output == PurePosixPath(".")
        collected = await asyncio.to_thread(collect, site, contract.limits, is_source=is_source)
        found = collected.files
        progress.files, progress.bytes = len(found), sum(file.bytes for file in found)
        where = "the root" if is_source else output
        log.say(Phase.COLLECT, f"{_counted(len(found), 'file')}, {progress.bytes:,} bytes in {where}.")
        if not any(file.path == "/index.html" for file in found):
            log.say(Phase.COLLECT, "There is no index.html, so the site's first page will not be found.")
        paths = [file.path for file in found]
        rules = await asyncio.to_thread(read_site_rules, site, collected.rule_files, paths)
        for report in rules.reports:
            log.say(Phase.COLLECT, report)

        progress.phase = Phase.UPLOAD
        uploaded = await upload(contract, store, site, found, await earlier)
        log.say(
            Phase.UPLOAD,
            f"{_counted(uploaded.new_blobs, 'new blob')}, {_counted(uploaded.new_bytes, 'byte')} uploaded.",
        )

        progress.phase = Phase.PUBLISH
        await put_manifest(contract, store, uploaded.files, rules, commit=commit.sha, preset=plan.preset)
    finally:
        await _let_go(earlier)


async def _build(
    contract: Contract,
    environ: Mapping[str, str],
    workspace: Workspace,
    store: Store,
    archives: ReadAhead,
    log: BuildLog,
    progress: Progress,
    opened: list[Caches],
) -> tuple[Commit, Plan]:
    """Until the site's files are there."""
    # Asking one takes as long as a small clone.
    nodes = asyncio.create_task(find_nodes())
    try:
        commit = await _clone(contract, environ, workspace, log, progress)

        progress.phase = Phase.DETECT
        checkout = read_checkout(workspace.repo, contract.root_directory)
        plan = detect(
            checkout,
            Settings(contract.install_command, contract.build_command, contract.output_directory),
        )
        progress.framework = plan.preset.name
        for choice in plan.explain():
            log.say(Phase.DETECT, choice)
        if plan.has_commands:
            facts = NO_FACTS
            if plan.manager is not None:
                facts = await asyncio.to_thread(read_facts, workspace.repo, plan.manager)
            runner, env, node = await prepare_runner(
                contract, environ, workspace, plan, commit, await nodes, log
            )
            caches = open_caches(contract, store, archives, runner, log, plan, facts, node)
            opened.append(caches)
            await run_plan(plan, runner, log, progress, contract.root_directory, env, caches)
        return commit, plan
    finally:
        await _let_go(nodes)


async def _let_go(task: asyncio.Task[Any]) -> None:
    """What the build ended without is nobody's concern, its failure included."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _clone(
    contract: Contract, environ: Mapping[str, str], workspace: Workspace, log: BuildLog, progress: Progress
) -> Commit:
    at = f" at {contract.git_ref}" if contract.git_ref else ""
    # A bundled example is a file of the server's; where it lies there is nobody's concern.
    repository = PurePosixPath(contract.repo_url).name if contract.allow_file_repo else contract.repo_url
    log.say(Phase.CLONE, f"Cloning {repository}{at}")
    started = time.monotonic()
    commit = await clone(contract, workspace.repo, log, environ)
    progress.commit, progress.commit_message = commit.sha, commit.message
    took_s = time.monotonic() - started
    log.say(Phase.CLONE, f"{commit.branch} is at {commit.sha[:10]}: {commit.message} ({took_s:.1f} s)")
    return commit


async def _finish(
    contract: Contract,
    store: Store,
    log: BuildLog,
    live: LiveLog,
    progress: Progress,
    error: BuildError | None,
    *,
    stopped: bool,
) -> ExitStatus:
    """The last line, the log object, and the end of the live log."""
    if error is None:
        log.say(
            Phase.PUBLISH, f"Published {_counted(progress.files or 0, 'file')}, {progress.bytes:,} bytes."
        )
    else:
        log.say(progress.phase, f"{error.failure.message} {error.failure.hint}")
    log.finish()
    status = error.status if error else ExitStatus.READY
    content = log_object(log, progress, attempt=contract.attempt, error=error)
    key = keys.build_log(contract.project_id, contract.deployment_id, contract.attempt)
    try:
        async with asyncio.timeout(STOPPED_LOG_PUT_S if stopped else LOG_PUT_S):
            await store.put(key, content, "application/gzip")
    except (StoreError, TimeoutError) as failure:
        # Without the result line the server knows neither commit nor reason, so it has to try again.
        logger.error("The log object was not stored: %s", failure)  # noqa: TRY400 - no bug, no traceback
        status = ExitStatus.INFRASTRUCTURE
    await live.close(
        STOPPED_LIVE_CLOSE_S if stopped else LIVE_CLOSE_S,
        archived_attempt=contract.attempt if status is not ExitStatus.INFRASTRUCTURE else None,
    )
    return status


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
