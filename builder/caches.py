"""What a build takes over from earlier builds of its project, and leaves to later ones.

None of it can fail a build: where an archive is missing, damaged or out of reach, the build does the work.
"""

import asyncio
import contextlib
import logging
import os
import platform
import shlex
import sys
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from builder import keys
from builder.ahead import DEPENDENCIES, SUFFIX, ReadAhead
from builder.archive import ArchiveDamaged, ArchiveRefused, pack, unpack
from builder.contract import Contract
from builder.dependencies import Facts, Kept, Surroundings, decide, framework_key
from builder.detect import Plan
from builder.errors import NotStored, StoreError
from builder.framework_caches import framework_paths
from builder.host import Node
from builder.log import BuildLog, Phase
from builder.run import Runner
from builder.store import Store
from builder.stored import Stored

MAX_ARCHIVES = 8
MAX_BYTES = 2 * 1024**3
"""Of a project. A few branches with lock files of their own, and a framework's cache of each."""

SAVE_S = 120.0
"""The site is live by then, but the build still holds one of the places for running builds."""

SAVE_NICENESS = 5

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Caches:
    """The caches of one build; ``runner`` contains what touches its workspace."""

    contract: Contract
    store: Store
    archives: ReadAhead
    runner: Runner
    log: BuildLog
    plan: Plan
    dependencies: Kept | str
    """Or why there are none."""
    framework_key: str
    _to_save: dict[str, str] = field(default_factory=dict)
    """The script that packs it, by the archive's name."""

    async def restore_dependencies(self) -> bool:
        """Whether the dependencies are there, as ``dependencies.install`` expects them."""
        if self.plan.install is None:
            return False
        if isinstance(self.dependencies, str):
            self.log.say(Phase.INSTALL, f"Dependencies: not cached, as {self.dependencies}")
            return False
        name = f"{DEPENDENCIES}{self.dependencies.key}{SUFFIX}"
        if self.contract.no_cache:
            self.log.say(Phase.INSTALL, "Dependencies: installed anew, as the deployment asks for no cache")
        elif (took_s := await self._restore(name, "Dependencies")) is not None:
            then = "install skipped"
            if self.dependencies.install is not None:
                then = f"install runs over them, as {self.dependencies.install[1]}"
            self.log.say(Phase.INSTALL, f"Dependencies: restored from cache ({took_s:.1f} s), {then}")
            return True
        self._to_save[name] = _pack_dependencies(self.plan)
        return False

    async def remove_dependencies(self) -> None:
        """Leaves nothing of what ``restore_dependencies`` brought, or of an install over it."""
        await self._remove(_find_modules(self.plan) + " -exec rm -rf {} +")

    async def restore_framework(self) -> None:
        """Brings back what the framework kept. After the install, since npm's removes node_modules."""
        if self.plan.build is None:
            return
        paths = self._framework_paths()
        name = f"framework-{self.framework_key}{SUFFIX}"
        self._to_save[name] = _pack_directories(paths)
        # What the repository holds itself is what its author wants.
        there = [path for path in paths if os.path.lexists(self.runner.workspace.build / path)]
        if self.contract.no_cache or there:
            return
        took_s = await self._restore(name, self.plan.preset.title)
        if took_s is not None:
            self.log.say(Phase.INSTALL, f"Build cache of {self.plan.preset.title}: restored ({took_s:.1f} s)")

    async def save(self) -> None:
        """Stores what this build leaves, and removes the project's oldest archives. Never raises."""
        # Visitors and other builds come first from here on.
        with contextlib.suppress(OSError):
            os.nice(SAVE_NICENESS)
        try:
            async with asyncio.timeout(SAVE_S):
                for name, script in self._to_save.items():
                    await self._save(name, script)
                await self._evict()
        except (StoreError, OSError, TimeoutError) as error:
            logger.warning("The caches were not saved: %s", error or "it took too long")

    async def _restore(self, name: str, what: str) -> float | None:
        """The seconds it took, or None where there is nothing restored."""
        started = time.monotonic()
        try:
            async with aclosing(self.archives.tar(name)) as tar:
                await unpack(self.runner, _unpack(self.runner.view), tar)
        except NotStored:
            return None
        except (ArchiveDamaged, StoreError, OSError) as error:
            # What the store or tar says is the operator's; the build goes on as if there were none.
            logger.warning("The archive %s can't be used: %s", name, error)
            self.log.say(Phase.INSTALL, f"{what}: the cache is damaged or out of reach, so it is discarded")
            if name.startswith(DEPENDENCIES):
                await self.remove_dependencies()
            else:
                await self._remove("rm -rf -- " + " ".join(map(shlex.quote, self._framework_paths())))
            return None
        return time.monotonic() - started

    async def _remove(self, script: str) -> None:
        command = f"cd {shlex.quote(str(self.runner.view))} && {script}"
        await self.runner.run(command, phase=Phase.INSTALL, directory=PurePosixPath("."), env={})

    async def _save(self, name: str, script: str) -> None:
        target = self.runner.workspace.etc / "archive"
        try:
            await pack(self.runner, f"cd {shlex.quote(str(self.runner.view))} && {script}", target)
            await self.store.put_file(keys.caches(self.contract.project_id) + name, target)
        except ArchiveRefused as error:
            if name.startswith(DEPENDENCIES):
                logger.warning("The dependencies are not kept: %s", error)
        finally:
            target.unlink(missing_ok=True)

    async def _evict(self) -> None:
        prefix = keys.caches(self.contract.project_id)
        for name in names_to_evict(await self.store.list_objects(prefix)):
            await self.store.delete(prefix + name)

    def _framework_paths(self) -> list[str]:
        root = PurePosixPath("repo") / self.contract.root_directory
        return [str(root / path) for path in framework_paths(self.plan.preset.name)]


def open_caches(
    contract: Contract,
    store: Store,
    archives: ReadAhead,
    runner: Runner,
    log: BuildLog,
    plan: Plan,
    facts: Facts,
    node: Node | None,
) -> Caches:
    """The caches of a build whose checkout has ``facts``."""
    around = Surroundings(
        project_id=contract.project_id,
        root=contract.root_directory,
        node_major=node.major if node is not None else None,
        platform="-".join((sys.platform, platform.machine(), *platform.libc_ver())),
        view=str(runner.view),
        env=contract.build_env,
    )
    return Caches(
        contract,
        store,
        archives,
        runner,
        log,
        plan,
        decide(plan, facts, around),
        framework_key(plan.preset.name, around),
    )


def names_to_evict(stored: list[Stored]) -> list[str]:
    """The oldest archives, until the newest ``MAX_ARCHIVES`` of at most ``MAX_BYTES`` are left."""
    dated = [archive for archive in stored if archive.modified is not None]
    newest_first = sorted(dated, key=lambda archive: (archive.modified, archive.name), reverse=True)
    total = 0
    evicted = []
    for number, archive in enumerate(newest_first):
        total += archive.bytes
        if number >= MAX_ARCHIVES or total > MAX_BYTES:
            evicted.append(archive.name)
    return evicted


def _unpack(view: PurePosixPath) -> str:
    # Its own blocks of 10 KiB are a read each.
    options = "--blocking-factor=512 --no-same-permissions"
    return f"exec tar --extract {options} --file=- --directory={shlex.quote(str(view))}"


def _find_modules(plan: Plan) -> str:
    directory = PurePosixPath("repo") / (plan.manager.directory if plan.manager is not None else "")
    return f"find {shlex.quote(str(directory))} -name node_modules -type d -prune"


def _pack_dependencies(plan: Plan) -> str:
    """Every outermost node_modules, the fetched package manager, and what Yarn keeps in their place."""
    assert plan.manager is not None
    directory = PurePosixPath("repo") / plan.manager.directory
    others = []
    if plan.manager.name != "npm":
        others.append("tools")
    if plan.manager.name == "yarn":
        names = (".pnp.cjs", ".pnp.loader.mjs", ".yarn/unplugged", ".yarn/cache", ".yarn/install-state.gz")
        others += [str(directory / name) for name in names] + ["home/.yarn/berry/cache"]
    listed = "".join(
        f"if [ -e {shlex.quote(name)} ]; then printf '%s\\0' {shlex.quote(name)}; fi; " for name in others
    )
    excluded = " ".join(f"--exclude=node_modules/{name}" for name in (".cache", ".vite", ".astro"))
    listing = f"{{ {_find_modules(plan)} -print0; {listed}}}"
    return f"{listing} | tar --create --file=- {excluded} --null --files-from=-"


def _pack_directories(paths: list[str]) -> str:
    return (
        f"set --; for path in {' '.join(map(shlex.quote, paths))}; do "
        '[ -d "$path" ] && set -- "$@" "$path"; done; '
        '[ $# -gt 0 ] || exit 44; exec tar --create --file=- -- "$@"'
    )
