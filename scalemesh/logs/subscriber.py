"""The one Redis subscription of a server process; everything it hears goes to the hub."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from scalemesh import keys
from scalemesh.logs import events
from scalemesh.logs.hub import Hub
from scalemesh.logs.lines import Batch, line_from
from scalemesh.model import DeploymentID

logger = logging.getLogger(__name__)

_RECONNECT_MIN_S = 0.1
_RECONNECT_MAX_S = 2.0


class Subscriber:
    """Follows the events channel and each project's channel that has a watcher.

    A channel's watchers are told to read the stream again once Redis has confirmed the subscription,
    and so are all after a lost connection: what was published in between is in the stream.
    """

    def __init__(self, redis: Redis, hub: Hub) -> None:
        self._redis = redis
        self._hub = hub
        self._changes: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        hub.on_channel = lambda name, wanted: self._changes.put_nowait((name, wanted))

    async def run(self) -> None:
        """For ever; cancel it."""
        delay_s = _RECONNECT_MIN_S
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(keys.EVENTS_CHANNEL, *self._hub.channels)
                    self._hub.resync()
                    delay_s = _RECONNECT_MIN_S
                    await self._listen(pubsub)
            except (RedisError, OSError) as error:
                logger.warning("log subscription lost, trying again in %.1f s: %s", delay_s, error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, _RECONNECT_MAX_S)

    async def _listen(self, pubsub: PubSub) -> None:
        async with asyncio.TaskGroup() as group:
            applying = group.create_task(self._apply_changes(pubsub))
            try:
                async for message in pubsub.listen():
                    self._hear(message)
            finally:
                applying.cancel()
        raise ConnectionError("the subscription ended")

    async def _apply_changes(self, pubsub: PubSub) -> None:
        while True:
            name, _ = await self._changes.get()
            # The hub's present wish counts: a watcher may have come and gone meanwhile.
            if name in self._hub.channels:
                await pubsub.subscribe(name)
            else:
                await pubsub.unsubscribe(name)

    def _hear(self, message: dict[str, Any]) -> None:
        channel = message["channel"].decode()
        if message["type"] == "subscribe" and channel != keys.EVENTS_CHANNEL:
            self._hub.resync_channel(channel)
        if message["type"] != "message":
            return
        try:
            if channel == keys.EVENTS_CHANNEL:
                self._hub.handle(events.decode(message["data"]))
            else:
                data = json.loads(message["data"])
                batch = Batch([line_from(line) for line in data["lines"]])
                self._hub.publish(DeploymentID(data["deploymentID"]), batch)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            logger.warning("unreadable message on %s: %s", channel, error)


@asynccontextmanager
async def subscriber(redis: Redis, hub: Hub) -> AsyncIterator[None]:
    task = asyncio.create_task(Subscriber(redis, hub).run(), name="log subscriber")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
