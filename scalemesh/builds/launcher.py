"""What a launcher promises."""

from collections.abc import Mapping
from typing import Protocol

from scalemesh.model import DeploymentID


class LaunchFailed(Exception):
    """The builder could not be started; nothing of it runs. Not the user's fault."""


class RunningBuild(Protocol):
    async def wait(self) -> int:
        """The builder's exit status: 0 ready, 1 failed, 2 refused, 3 or anything else infrastructure.

        May be called again, and be canceled, without disturbing the build.
        """

    async def stop(self, *, canceled: bool = False) -> None:
        """Return once the builder and everything it started are gone, within seconds.

        ``canceled`` is for the log's last line: whether somebody wanted this, or the server goes away.
        """


class Launcher(Protocol):
    async def launch(self, deployment_id: DeploymentID, environment: Mapping[str, str]) -> RunningBuild:
        """Start a builder with ``environment``, the builder contract's variables. Raises LaunchFailed."""
