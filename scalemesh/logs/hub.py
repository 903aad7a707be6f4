"""What this process has open: each watcher, fed by the subscriber."""

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
    """One reader of one deployment's log. ``session`` is its token's hash in hex.

    ``cursor`` is the last line that the reader has, ``status`` the last that it was told; whoever reads the
    items keeps both. ``offer(batch)`` gives the reader's client a batch at once or refuses it. A reader that
    waits for the very batch that comes is offered it, and need not wake: for a thousand watchers of a build
    that is most of what they cost. What is refused goes through the queue like everything else.
    """

    def __init__(
        self, deployment_id: DeploymentID, project_id: ProjectID, user_id: UserID, session: str
    ) -> None:
        self.deployment_id = deployment_id
        self.project_id = project_id
        self.user_id = user_id
        self.session = session
        self.cursor = 0
        self.status: Status | None = None
        self.offer: Callable[[Batch], bool] = _refuse
        self._queue: deque[Item] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._resyncs = False
        self._broken: Exception | None = None

    def check(self) -> None:
        """Raises LogClientTooSlow where the queue overflowed, or with what the watch was ended."""
        if self._broken is not None:
            raise self._broken

    async def next(self) -> Item:
        """The next item, for a reader that has sent all before it. Raises as ``check`` does."""
        self.check()
        if not self._queue:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
            self.check()
        item = self._queue.popleft()
        self._resyncs = self._resyncs and not isinstance(item, Resync)
        return item

    def publish(self, batch: Batch) -> None:
        waits = self._waiter is not None and not self._waiter.done()
        if waits and batch.first == self.cursor + 1 and self.offer(batch):
            self.cursor = batch.last
        else:
            self.put(batch)

    def put(self, item: Item) -> None:
        """Never waits: a full queue ends the watch, and no line is silently missing."""
        if self._broken is not None:
            return
        if len(self._queue) < QUEUE_MAX_ITEMS:
            self._queue.append(item)
            self._wake()
        else:
            self.end(LogClientTooSlow("The log came faster than it was read."))

    def resync(self) -> None:
        """One that waits already will do: it is acted on later than what asks for another."""
        if not self._resyncs:
            self._resyncs = True
            self.put(Resync())

    def end(self, error: Exception) -> None:
        self._broken = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _refuse(_batch: Batch) -> bool:
    return False


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

    @property
    def watches(self) -> list[Watch]:
        """Those that are open now."""
        return [watch for watches in self._watches.values() for watch in watches]

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
        self.lines += len(batch.rows) * len(watches)
        for watch in watches:
            watch.publish(batch)

    def handle(self, event: Event) -> None:
        match event:
            case StatusChanged():
                for watch in self._watches.get(event.deployment_id, ()):
                    watch.put(event.status)
            case SessionEnded():
                for watch in self.watches:
                    if watch.user_id == event.user_id and event.session in (None, watch.session):
                        watch.end(WatchEnded())

    def resync(self) -> None:
        """The subscriber was away for a while."""
        for watch in self.watches:
            watch.resync()

    def resync_channel(self, channel: str) -> None:
        for watch in self._by_channel.get(channel, ()):
            watch.resync()
