"""What a launcher promises."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Protocol

from scalemesh.model import BuildID, DeploymentID, Failure


class LaunchFailed(Exception):
    """The builder could not be started; nothing of it runs. The sentence is the operator's.

    ``failure`` is there where another try would end alike: what the person who deployed is told.
    """

    def __init__(self, sentence: str, failure: Failure | None = None) -> None:
        super().__init__(sentence)
        self.failure = failure


class LaunchDelayed(Exception):
    """There is no room for the builder now. It has not begun, and may be launched again ``after`` that."""

    def __init__(self, sentence: str, after: timedelta) -> None:
        super().__init__(sentence)
        self.after = after


class LauncherAway(Exception):
    """The launcher can't say now what runs; the same question may have an answer later."""


class RunningBuild(Protocol):
    async def wait(self) -> int:
        """The builder's exit status: 0 ready, 1 failed, 2 refused, 3 or anything else infrastructure.

        May be called again, and be canceled, without disturbing the build.
        """

    async def stop(self, *, canceled: bool = False) -> None:
        """Return once the builder and everything it started are gone, or will be within seconds.

        May be called again. ``canceled`` is for the log's last line: whether somebody wanted this, or the
        server goes away.
        """

    async def leave(self) -> None:
        """Follow it no longer. It goes on where the launcher's builds outlive the server, and else stops."""

    def explain(self) -> Failure | None:
        """After the end: what the launcher knows of its cause and the builder could not write down."""


class Launcher(Protocol):
    @property
    def outlives_server(self) -> bool:
        """Whether a build goes on without the server that launched it, so that ``resume`` finds it."""

    async def launch(self, deployment_id: DeploymentID, environment: Mapping[str, str]) -> RunningBuild:
        """Start a builder with ``environment``, the builder contract's variables.

        At most one for each attempt, however often it is called. Raises LaunchFailed and LaunchDelayed.
        """

    async def resume(self, build: BuildID) -> RunningBuild | None:
        """The builder that another worker launched, perhaps ended by now; None where nothing of it is left.

        Raises LauncherAway.
        """

    async def list_builds(self) -> Collection[BuildID]:
        """All that outlived their worker so far, ended ones too. Raises LauncherAway."""

    async def remove(self, build: BuildID) -> None:
        """Return once nothing is left of ``build``, or will be soon; it may be gone already.

        Raises LauncherAway.
        """
