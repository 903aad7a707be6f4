"""What this process has open: each watcher's bounded queue, fed by the subscriber."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from scalemesh import keys
from scalemesh.errors import LogClientTooSlow
from scalemesh.logs.events import Event, SessionEnded, StatusChanged
from scalemesh.logs.lines import Batch
from scalemesh.model import DeploymentID, ProjectID, Status, UserID

# Batches of at most 16 KiB each: a watcher may be about 4 MiB behind, which no screen keeps up with anyway.
QUEUE_MAX_ITEMS = 256


K = TypeVar("K")


class WatchEnded(Exception):
    """The session that opened the watch has ended."""


@dataclass(frozen=True, slots=True)
class Resync:
    """Messages may have been missed: read the stream again from the last line that was seen."""


Item = Batch | Status | Resync


class Watch:
    """One reader of one deployment's log. ``session`` is its token's hash in hex."""

    def __init__(
        self, deployment_id: DeploymentID, project_id: ProjectID, user_id: UserID, session: str
    ) -> None:
        self.deployment_id = deployment_id
        self.project_id = project_id
        self.user_id = user_id
        self.session = session
        self._queue: deque[Item] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._resyncs = False
        self._broken: Exception | None = None

    def check(self) -> None:
        """Raises LogClientTooSlow where the queue overflowed, WatchEnded."""
        if self._broken is not None:
            raise self._broken

    async def next(self, timeout_s: float) -> Item:
        """The next item; a Resync where nothing came for ``timeout_s``. Raises as ``check`` does."""
        self.check()
        if timeout_s <= 0:
            return Resync()
        if not self._queue:
            await self._wait(timeout_s)
            self.check()
        if not self._queue:
            return Resync()
        item = self._queue.popleft()
        self._resyncs = self._resyncs and not isinstance(item, Resync)
        return item

    async def _wait(self, timeout_s: float) -> None:
        """For the next item or the end of the time. A thousand watchers do this for each batch."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(timeout_s, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def put(self, item: Item) -> None:
        """Never waits: a full queue ends the watch, and no line is silently missing."""
        if self._broken is not None:
            return
        if len(self._queue) < QUEUE_MAX_ITEMS:
            self._queue.append(item)
        else:
            self._broken = LogClientTooSlow("The log came faster than it was read.")
        self._wake()

    def resync(self) -> None:
        """One that waits already will do: it is acted on later than what asks for another."""
        if not self._resyncs:
            self._resyncs = True
            self.put(Resync())

    def end(self) -> None:
        self._broken = WatchEnded()
        self._wake()


def _discard(watches: dict[K, set[Watch]], key: K, watch: Watch) -> bool:
    """True where it was the last one under ``key``."""
    watches[key].discard(watch)
    if watches[key]:
        return False
    del watches[key]
    return True


class Hub:
    """``on_channels()`` is called where a channel got its first watcher or lost its last."""

    def __init__(self) -> None:
        self._watches: defaultdict[DeploymentID, set[Watch]] = defaultdict(set)
        self._by_channel: defaultdict[str, set[Watch]] = defaultdict(set)
        self.on_channels: Callable[[], None] = lambda: None
        # Each line once for each watcher that it was handed to.
        self.lines = 0

    @property
    def channels(self) -> set[str]:
        """Those that have a watcher."""
        return set(self._by_channel)

    @contextmanager
    def watch(self, watch: Watch) -> Iterator[Watch]:
        channel = keys.log_channel(watch.project_id)
        self._watches[watch.deployment_id].add(watch)
        self._by_channel[channel].add(watch)
        if len(self._by_channel[channel]) == 1:
            self.on_channels()
        try:
            yield watch
        finally:
            _discard(self._watches, watch.deployment_id, watch)
            if _discard(self._by_channel, channel, watch):
                self.on_channels()

    def publish(self, deployment_id: DeploymentID, batch: Batch) -> None:
        watches = self._watches.get(deployment_id, ())
        self.lines += len(batch.lines) * len(watches)
        for watch in watches:
            watch.put(batch)

    def handle(self, event: Event) -> None:
        match event:
            case StatusChanged():
                for watch in self._watches.get(event.deployment_id, ()):
                    watch.put(event.status)
            case SessionEnded():
                for watches in self._watches.values():
                    for watch in watches:
                        if watch.user_id == event.user_id and event.session in (None, watch.session):
                            watch.end()

    def resync(self) -> None:
        """The subscriber was away for a while."""
        for watches in self._watches.values():
            for watch in watches:
                watch.resync()

    def resync_channel(self, channel: str) -> None:
        for watch in self._by_channel.get(channel, ()):
            watch.resync()
