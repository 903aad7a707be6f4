"""Claims queued deployments for this process's workers, and takes back those whose worker is gone."""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta

from scalemesh.artifacts.store import ArtifactStore, StoreUnavailable
from scalemesh.builds.launcher import LauncherAway
from scalemesh.builds.outcome import WAITED_TOO_LONG
from scalemesh.builds.worker import LEASE, Worker
from scalemesh.db import projects, queue, sessions
from scalemesh.db.pool import UNAVAILABLE, Pool
from scalemesh.db.queue import Claim
from scalemesh.keys import project_prefix
from scalemesh.logs.events import Announcer, StatusChanged
from scalemesh.model import QueueLimits, Status
from scalemesh.tasks import end_tasks, to_its_end

logger = logging.getLogger(__name__)

# A deploy in this process wakes the dispatcher at once; this is for those that other processes queued.
_POLL_S = 1.0
_SWEEP_S = 1.0
_ORPHANS_S = 10.0
_TIDY_S = 60.0
_TIDY_PROJECTS = 10
# A builder whose server is gone ends within 5 s of that; before, its deployment must not be built again.
_ORPHAN_GRACE = timedelta(seconds=5)

_AWAY: tuple[type[Exception], ...] = (LauncherAway, StoreUnavailable, *UNAVAILABLE)


class Dispatcher:
    """Builds within ``limits``, each for ``build_timeout`` at most; nothing waits over ``queue_timeout``.

    ``alone`` says that no other server uses it, so leases from before the start are nobody's.
    """

    def __init__(
        self,
        pool: Pool,
        store: ArtifactStore,
        worker: Worker,
        announcer: Announcer,
        *,
        limits: QueueLimits,
        build_timeout: timedelta,
        queue_timeout: timedelta,
        alone: bool,
    ) -> None:
        self._pool = pool
        self._store = store
        self._worker = worker
        self._announcer = announcer
        self._limits = limits
        self._build_timeout = build_timeout
        self._queue_timeout = queue_timeout
        self._alone = alone
        self._name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._awake = asyncio.Event()
        self._builds: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._stopping = False

    def wake(self) -> None:
        """There may be work now."""
        self._awake.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Dispatches inside the block, and at its end stops."""
        if self._alone:
            await queue.shorten_leases(self._pool, _ORPHAN_GRACE)
        self._loops = [
            asyncio.create_task(self._claim_for_ever(), name="dispatcher"),
            asyncio.create_task(_every(_SWEEP_S, self._sweep), name="lease sweep"),
            asyncio.create_task(_every(_ORPHANS_S, self._worker.remove_orphans), name="orphans"),
            asyncio.create_task(_every(_TIDY_S, self._tidy), name="tidy"),
        ]
        try:
            yield
        finally:
            self.stop()
            # The loops first, or one that is just claiming starts another build.
            await end_tasks(*self._loops)
            await end_tasks(*self._builds)

    def stop(self) -> None:
        """Claims nothing from now on; builds are given back, those of a child process stopped first."""
        self._stopping = True
        for task in [*self._loops, *self._builds]:
            task.cancel()

    async def _claim_for_ever(self) -> None:
        while not self._stopping:
            self._awake.clear()
            try:
                # What is claimed has to be known, or it would wait for its lease to lapse.
                while await to_its_end(self._claim_one()):
                    pass
            except UNAVAILABLE as error:
                logger.warning("the queue can't be read now: %s", error)
            except Exception:
                logger.exception("claiming a deployment broke")
            try:
                async with asyncio.timeout(_POLL_S):
                    await self._awake.wait()
            except TimeoutError:
                continue

    async def _claim_one(self) -> bool:
        if self._stopping or len(self._builds) >= self._limits.builds:
            return False
        claim = await queue.claim_deployment(
            self._pool, worker=self._name, lease=LEASE, timeout=self._build_timeout, limits=self._limits
        )
        if claim is None:
            return False
        self._start(claim, self._worker.build(claim))
        return True

    def _start(self, claim: Claim, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=f"build {claim.deployment_id}")
        task.add_done_callback(self._ended)
        # Known once it has begun: one that was canceled before would not give its claim back.
        asyncio.get_running_loop().call_soon(self._builds.add, task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._builds.discard(task)
        self.wake()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%s broke; its lease will lapse", task.get_name(), exc_info=error)

    async def _sweep(self) -> None:
        while not self._stopping and await self._take_one_over():
            pass
        for deployment_id in await queue.expire_waiting(
            self._pool, longest=self._queue_timeout, failure=WAITED_TOO_LONG
        ):
            await self._announcer.announce(StatusChanged(deployment_id, Status.FAILED))

    async def _take_one_over(self) -> bool:
        # Each time another name: it keeps out this process's own earlier worker as well.
        sweeper = f"{self._name}:{secrets.token_hex(3)}"
        claim = await to_its_end(queue.take_over_lapsed(self._pool, worker=sweeper, lease=LEASE))
        if claim is None:
            return False
        self._start(claim, self._worker.take_over(claim))
        return True

    async def _tidy(self) -> None:
        await sessions.delete_expired_sessions(self._pool)
        for project_id in await projects.list_projects_to_purge(self._pool, limit=_TIDY_PROJECTS):
            await self._store.delete_prefix(project_prefix(project_id))
            await projects.mark_project_purged(self._pool, project_id)


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except _AWAY as error:
            logger.warning("%s waits: %s", work.__name__, error)
        except Exception:
            logger.exception("%s broke, and is tried again", work.__name__)
        await asyncio.sleep(seconds)
