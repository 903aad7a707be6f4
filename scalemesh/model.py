"""The records that travel between rooms: frozen, typed, free of any framework."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

UserID = NewType("UserID", str)
ProjectID = NewType("ProjectID", str)
DeploymentID = NewType("DeploymentID", str)


class Status(StrEnum):
    """A deployment's state: ``queued → building → ready | failed | canceled | superseded``."""

    QUEUED = "queued"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"
    CANCELED = "canceled"
    SUPERSEDED = "superseded"

    @property
    def is_final(self) -> bool:
        return self not in (Status.QUEUED, Status.BUILDING)


class Target(StrEnum):
    """What a deployment is for, and which of its project's variables its build sees."""

    PRODUCTION = "production"
    """It goes live when it is ready."""
    PREVIEW = "preview"
    """It is served at its own address only, until somebody promotes it."""

    @classmethod
    def of(cls, *, ref: str | None, branch: str | None) -> "Target":
        """Of a deployment of ``ref`` (None: no ref was asked for) while ``branch`` is the project's."""
        return cls.PRODUCTION if ref is None or ref == branch else cls.PREVIEW


Variables = Mapping[str, Mapping[Target, str]]
"""A project's variables: by name, the value for each target that has one."""


@dataclass(frozen=True, slots=True)
class VariableChange:
    """The variable has ``value`` in ``scopes``; those that are not named keep theirs.

    Without a value, the one that is kept is moved to ``scopes`` and is in no others; no scope removes it.
    """

    name: str
    value: str | None
    scopes: frozenset[Target]


@dataclass(frozen=True, slots=True)
class User:
    id: UserID
    name: str
    email: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """What a project says about its build; ``None`` leaves the choice to the builder's presets.

    Directories are relative to the repository, ``rootDirectory`` first, with ``/`` between names.
    """

    branch: str | None = None
    root_directory: str | None = None
    install_command: str | None = None
    build_command: str | None = None
    output_directory: str | None = None


@dataclass(frozen=True, slots=True)
class Project:
    id: ProjectID
    user_id: UserID
    name: str
    slug: str
    git_url: str
    build: BuildSettings
    production_id: DeploymentID | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a deployment failed: a code for programs, a sentence for a person, and what to do about it.

    ``line`` is the number of the log's line that shows it, where there is one.
    """

    code: str
    message: str
    hint: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many builds run at once: over all servers of one database, and of one user. One of a project."""

    builds: int
    builds_per_user: int


class WaitCause(StrEnum):
    """What a queued deployment waits for, the nearest cause first."""

    PROJECT = "project"
    """Another build of its project."""
    RETRY = "retry"
    """The pause after a try that was interrupted."""
    ROOM = "room"
    """The pause after whoever runs builders had no room for it."""
    USER = "user"
    """Its user's other builds, which are as many as one user may have."""
    BUILDERS = "builders"
    """Every builder is busy."""
    NOTHING = "nothing"
    """The next look of a dispatcher, within a second."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued deployment's place: ``position`` 1 is served next, as far as its cause allows."""

    position: int
    cause: WaitCause


@dataclass(frozen=True, slots=True)
class Deployment:
    id: DeploymentID
    project_id: ProjectID
    number: int
    status: Status
    target: Target
    ref: str | None
    commit: str | None
    commit_message: str | None
    framework: str | None
    attempt: int
    files: int | None
    bytes: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    failure: Failure | None
    waiting: Waiting | None = None


@dataclass(frozen=True, slots=True)
class BuildID:
    """One attempt of one deployment: at most one builder runs under it. Its last one made what is served."""

    deployment_id: DeploymentID
    attempt: int


@dataclass(frozen=True, slots=True)
class SiteRoute:
    """Where a site's host leads: the deployment whose manifest answers, by the attempt that made it.

    ``preview`` is true for a ``{deploymentID}--{slug}`` host, which search engines must not index.
    """

    project_id: ProjectID
    deployment_id: DeploymentID
    attempt: int
    preview: bool


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a build log. ``seq`` counts from 1 for each deployment; ``time`` is RFC 3339 UTC.

    ``stream`` is ``stdout``, ``stderr`` or ``system`` (the builder's own words); ``text`` keeps SGR
    colours and no other control sequence.
    """

    seq: int
    time: str
    stream: str
    phase: str
    text: str
