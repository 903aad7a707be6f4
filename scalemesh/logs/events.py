"""What server processes tell each other over Redis, and how it is written down."""

import json
import logging
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from scalemesh import keys
from scalemesh.model import DeploymentID, Status, UserID

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StatusChanged:
    deployment_id: DeploymentID
    status: Status


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """``session`` is the token's hash in hex; None means every session of the user."""

    user_id: UserID
    session: str | None


Event = StatusChanged | SessionEnded


class Announcer:
    """Publishes events. They are hints: whoever misses one finds the truth in Postgres within seconds."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def announce(self, event: Event) -> None:
        try:
            await self._redis.publish(keys.EVENTS_CHANNEL, encode(event))
        except RedisError as error:
            logger.warning("could not announce %s: %s", event, error)


def encode(event: Event) -> str:
    match event:
        case StatusChanged():
            return json.dumps({"type": "status", "deploymentID": event.deployment_id, "status": event.status})
        case SessionEnded():
            return json.dumps({"type": "session_ended", "userID": event.user_id, "session": event.session})


def decode(text: str | bytes) -> Event:
    """Raises ValueError or KeyError for what is no event of this version."""
    data = json.loads(text)
    match data["type"]:
        case "status":
            return StatusChanged(DeploymentID(data["deploymentID"]), Status(data["status"]))
        case "session_ended":
            return SessionEnded(UserID(data["userID"]), data["session"])
        case unknown:
            raise ValueError(f"unknown event {unknown!r}")
