"""What server processes tell each other over Redis, and how it is written down."""

import json
import logging
from dataclasses import dataclass
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from scalemesh import keys
from scalemesh.model import DeploymentID, ProjectID, Status, UserID

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


@dataclass(frozen=True, slots=True)
class SiteChanged:
    """Another deployment of the project is live now, or a first one, or none."""

    project_id: ProjectID


Event = StatusChanged | SessionEnded | SiteChanged


class Listener(Protocol):
    """Hears what is announced, on the event loop; none of it may block."""

    def handle(self, event: Event) -> None: ...

    def heard(self) -> None:
        """Events are heard from now on; any before may have been missed."""

    def lost(self) -> None:
        """Events are not heard any more."""


class Announcer:
    """Publishes events. They are hints: whoever misses one finds the truth in Postgres within seconds."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def announce(self, event: Event) -> None:
        try:
            await self._redis.publish(keys.EVENTS_CHANNEL, encode(event))
        except RedisError as error:
            logger.warning("could not announce %s: %s", event, error)

    async def announce_outcome(
        self, project_id: ProjectID, deployment_id: DeploymentID, status: Status
    ) -> None:
        """A build's new status, once it is committed; one that is ready has gone live."""
        if status is Status.READY:
            await self.announce(SiteChanged(project_id))
        await self.announce(StatusChanged(deployment_id, status))


def encode(event: Event) -> str:
    match event:
        case StatusChanged():
            return json.dumps({"type": "status", "deploymentID": event.deployment_id, "status": event.status})
        case SessionEnded():
            return json.dumps({"type": "session_ended", "userID": event.user_id, "session": event.session})
        case SiteChanged():
            return json.dumps({"type": "site", "projectID": event.project_id})


def decode(text: str | bytes) -> Event:
    """Raises ValueError or KeyError for what is no event of this version."""
    data = json.loads(text)
    match data["type"]:
        case "status":
            return StatusChanged(DeploymentID(data["deploymentID"]), Status(data["status"]))
        case "session_ended":
            return SessionEnded(UserID(data["userID"]), data["session"])
        case "site":
            return SiteChanged(ProjectID(data["projectID"]))
        case unknown:
            raise ValueError(f"unknown event {unknown!r}")
