"""Who may write the log of a build: for each attempt a Redis user of its own, who can do nothing else."""

import secrets
from collections.abc import Sequence
from urllib.parse import urlsplit

from redis.asyncio import Redis

from scalemesh import keys
from scalemesh.model import DeploymentID, ProjectID

_PREFIX = "build"
_PASSWORD_BYTES = 24
# With what a builder sends, and with which keys: see `builder.live`.
_COMMANDS = ("-@all", "+xadd", "+publish", "+lpush", "+expire")


class LogWriters:
    """Users of a Redis that keeps them in a file (``aclfile``), so that they are still there if it is killed.

    ``url`` is where builders reach that Redis.
    """

    def __init__(self, redis: Redis, url: str) -> None:
        self._redis = redis
        self._url = url

    async def admit(self, project_id: ProjectID, deployment_id: DeploymentID, attempt: int) -> str:
        """The URL with which that attempt's builder writes, until it is dismissed. Raises RedisError."""
        name, password = _name(deployment_id, attempt), secrets.token_urlsafe(_PASSWORD_BYTES)
        await self._acl(
            "SETUSER", name, "reset", "on", f">{password}", *_rights(project_id, deployment_id, attempt)
        )
        await self._acl("SAVE")
        address = urlsplit(self._url)
        host = address.netloc.rpartition("@")[2]
        return address._replace(netloc=f"{name}:{password}@{host}").geturl()

    async def dismiss(self, deployment_id: DeploymentID, attempt: int) -> None:
        """It is refused from now on, on connections that are open too. Raises RedisError."""
        await self._acl("DELUSER", _name(deployment_id, attempt))
        await self._acl("SAVE")

    async def list_admitted(self) -> Sequence[tuple[DeploymentID, int]]:
        """All that were not dismissed, by whichever server. Raises RedisError."""
        parts = [name.decode().split("-") for name in await self._acl("USERS")]
        return [(DeploymentID(part[1]), int(part[2])) for part in parts if part[0] == _PREFIX]

    async def _acl(self, *words: str) -> list[bytes]:
        return await self._redis.execute_command("ACL", *words)  # type: ignore[no-untyped-call,no-any-return]


def _name(deployment_id: DeploymentID, attempt: int) -> str:
    return f"{_PREFIX}-{deployment_id}-{attempt}"


def _rights(project_id: ProjectID, deployment_id: DeploymentID, attempt: int) -> tuple[str, ...]:
    return (
        f"%W~{keys.log_stream(deployment_id)}",
        f"%W~{keys.log_archived(deployment_id, attempt)}",
        f"&{keys.log_channel(project_id)}",
        *_COMMANDS,
    )
