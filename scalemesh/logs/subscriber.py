"""The one Redis subscription of a server process; everything it hears goes to the hub."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from scalemesh import keys
from scalemesh.logs import events
from scalemesh.logs.hub import Hub
from scalemesh.logs.lines import Batch, row_from, with_gaps
from scalemesh.model import DeploymentID
from scalemesh.tasks import end_tasks

logger = logging.getLogger(__name__)

_RECONNECT_MIN_S = 0.1
_RECONNECT_MAX_S = 2.0
# Redis is asked for a word this often, and given up after three times as long without one: a host that
# vanished never closes its connections.
_PING_S = 5.0
_SILENCE_MAX_S = 15.0


class Subscriber:
    """Follows the events channel and each project's channel that has a watcher.

    A channel's watchers are told to read the stream again once Redis has confirmed the subscription,
    and so are all after a lost connection: what was published in between is in the stream. ``listeners``
    hear the events too. ``redis`` is used for nothing else.
    """

    def __init__(self, redis: Redis, hub: Hub, listeners: Sequence[events.Listener] = ()) -> None:
        # A lost connection is this class's business; redis-py would renew it under both tasks at once.
        redis.set_retry(Retry(NoBackoff(), 0, supported_errors=()))
        self._redis = redis
        self._hub = hub
        self._listeners = listeners
        self._changed = asyncio.Event()
        hub.on_channels = self._changed.set

    async def run(self) -> None:
        """For ever; cancel it."""
        delay_s = _RECONNECT_MIN_S
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    channels = self._hub.channels
                    async with asyncio.timeout(_SILENCE_MAX_S):
                        await pubsub.subscribe(keys.EVENTS_CHANNEL, *channels)
                    delay_s = _RECONNECT_MIN_S
                    try:
                        await self._follow(pubsub, channels)
                    finally:
                        for listener in self._listeners:
                            listener.lost()
            except (RedisError, OSError) as error:
                logger.warning("log subscription lost, trying again in %.1f s: %s", delay_s, error)
            except Exception:
                logger.exception("log subscription broke, trying again in %.1f s", delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _RECONNECT_MAX_S)

    async def _follow(self, pubsub: PubSub, channels: set[str]) -> None:
        """Until the connection is lost; raises what either task met first."""
        tasks = [
            asyncio.create_task(self._listen(pubsub), name="log subscription: listen"),
            asyncio.create_task(self._apply_changes(pubsub, channels), name="log subscription: channels"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end_tasks(*tasks)

    async def _listen(self, pubsub: PubSub) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_SILENCE_MAX_S) as silence:
            async for message in pubsub.listen():
                silence.reschedule(loop.time() + _SILENCE_MAX_S)
                self._hear(message)
        raise ConnectionError("the subscription ended")

    async def _apply_changes(self, pubsub: PubSub, channels: set[str]) -> None:
        """Keep to what the hub wants, starting from ``channels``."""
        while True:
            self._changed.clear()
            wanted = self._hub.channels
            if new := wanted - channels:
                await pubsub.subscribe(*new)
            if unwanted := channels - wanted:
                await pubsub.unsubscribe(*unwanted)
            channels = wanted
            try:
                async with asyncio.timeout(_PING_S):
                    await self._changed.wait()
            except TimeoutError:
                await pubsub.ping()

    def _hear(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "subscribe":
                self._confirmed(message["channel"].decode())
            case "message":
                self._pass_on(message["channel"].decode(), message["data"])

    def _confirmed(self, channel: str) -> None:
        # The events channel comes first on a new connection, together with all others.
        if channel == keys.EVENTS_CHANNEL:
            self._hub.resync()
            for listener in self._listeners:
                listener.heard()
        else:
            self._hub.resync_channel(channel)

    def _pass_on(self, channel: str, data: bytes) -> None:
        try:
            if channel == keys.EVENTS_CHANNEL:
                event = events.decode(data)
                self._hub.handle(event)
                for listener in self._listeners:
                    listener.handle(event)
                return
            message = json.loads(data)
            deployment_id = DeploymentID(message["deploymentID"])
            rows = [row_from(line) for line in message["lines"]]
            # Where the log's limit cut it, the builder's batch goes over the cut.
            for piece in with_gaps(rows, rows[0][0] - 1):
                if isinstance(piece, Batch):
                    self._hub.publish(deployment_id, piece)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            logger.warning("unreadable message on %s: %r", channel, error)


@asynccontextmanager
async def subscriber(
    redis: Redis, hub: Hub, listeners: Sequence[events.Listener] = ()
) -> AsyncIterator[None]:
    task = asyncio.create_task(Subscriber(redis, hub, listeners).run(), name="log subscriber")
    try:
        yield
    finally:
        await end_tasks(task)
