"""The builder's input: the environment, read once into one frozen record."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path, PurePosixPath

from builder.errors import ContractError
from builder.grant import Grant, parse_grant

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

DEFAULT_TIMEOUT = timedelta(minutes=15)
"""A build by hand ends too: nothing here waits for ever."""

_LABEL_PATTERN = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_LABEL = re.compile(_LABEL_PATTERN, re.ASCII)
"""Ids are DNS labels on the server; here they are also the one variable part of a key."""

_MANIFEST = re.compile(
    rf"__output/{_LABEL_PATTERN}/{_LABEL_PATTERN}/manifest(?:-[0-9]{{1,3}})?\.json", re.ASCII
)

_SHA = re.compile(r"[0-9a-f]{40}", re.ASCII)
_REF = re.compile(r"[A-Za-z0-9._/@+=#-]{1,250}", re.ASCII)
_REF_NEVER = re.compile(r"^[-/.]|\.\.|//|/\.|@\{|\.lock(?:/|$)|[/.]$|^@$", re.ASCII)
"""``git check-ref-format`` over a smaller alphabet: no name can be read as an option or a revision."""

_TOKEN = re.compile(r"[!-~]{1,1024}", re.ASCII)
_ENV_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_RESERVED_ENV = re.compile(r"PATH|HOME|TMPDIR|SHELL|IFS|ENV|BASH_ENV|LD_.*|DYLD_.*|SCALEMESH(_.*)?")
"""Names by which a value would change how the command is started instead of what it sees."""


class SandboxMode(StrEnum):
    BWRAP = "bwrap"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Limits:
    memory_bytes: int
    """Resident memory of all the build's processes together."""
    processes: int
    repo_bytes: int
    """The fetched pack, and the checkout, each."""
    files: int
    file_bytes: int
    site_bytes: int
    """Of the files of the site, before compression."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One build. Directories are relative with ``/`` between names; empty strings became ``None``."""

    repo_url: str
    project_id: str
    deployment_id: str
    attempt: int
    git_token: str | None
    """``token`` or ``user:token``, for the repository's host alone."""
    git_ref: str | None
    """A branch, a tag or a full lowercase sha; ``None`` is the repository's default branch."""
    root_directory: PurePosixPath
    install_command: str | None
    build_command: str | None
    output_directory: PurePosixPath | None
    build_env: Mapping[str, str]
    artifacts: str
    """``s3://bucket`` or an absolute directory."""
    s3_endpoint_url: str | None
    upload_grant: Grant | None
    """In place of keys of S3."""
    redis_url: str | None
    log_first_seq: int
    deadline: datetime
    sandbox: SandboxMode
    build_uid: int
    """Under which the user's commands run where the builder itself is root; the gid too."""
    workspace: Path | None
    limits: Limits
    no_cache: bool
    """Take nothing from earlier builds; what this one leaves takes their place."""
    previous_manifest: str | None
    """A key, of the same project: it says which compressed forms there are already."""
    allow_local_repos: bool
    allow_file_repo: bool
    site_url: str | None
    supervised: bool


def is_sha(ref: str) -> bool:
    return _SHA.fullmatch(ref) is not None


def read_contract(env: Mapping[str, str], *, now: datetime) -> Contract:
    """The build that ``env`` asks for.

    Raises ``ContractError`` with every mistake at once.
    """
    read = _Reader(env)
    contract = Contract(
        repo_url=read.required("GITHUB_REPO_URL"),
        project_id=read.label("projectID", default=None),
        deployment_id=read.label("DEPLOYMENT_ID", default=f"hand{secrets.token_hex(4)}"),
        attempt=read.whole("ATTEMPT", 1),
        git_token=read.token("GIT_TOKEN"),
        git_ref=read.ref("GIT_REF"),
        root_directory=read.directory("ROOT_DIRECTORY") or PurePosixPath("."),
        install_command=read.command("INSTALL_COMMAND"),
        build_command=read.command("BUILD_COMMAND"),
        output_directory=read.directory("OUTPUT_DIRECTORY"),
        build_env=read.build_env("BUILD_ENV"),
        artifacts=read.artifacts("ARTIFACTS"),
        s3_endpoint_url=read.url("S3_ENDPOINT_URL", ("http://", "https://")),
        upload_grant=read.grant("UPLOAD_GRANT"),
        redis_url=read.url("REDIS_URL", ("redis://", "rediss://", "unix://")),
        log_first_seq=read.whole("LOG_FIRST_SEQ", 1),
        deadline=read.instant("BUILD_DEADLINE", now + DEFAULT_TIMEOUT),
        sandbox=read.sandbox("BUILD_SANDBOX"),
        build_uid=read.whole("BUILD_UID", 210_000),
        workspace=read.absolute("WORKSPACE"),
        limits=Limits(
            memory_bytes=read.whole("BUILD_MEMORY_BYTES", 4 * GIB),
            processes=read.whole("BUILD_PROCESSES", 512),
            repo_bytes=read.whole("MAX_REPO_BYTES", GIB),
            files=read.whole("MAX_FILES", 20_000),
            file_bytes=read.whole("MAX_FILE_BYTES", 25 * MIB),
            site_bytes=read.whole("MAX_SITE_BYTES", GIB),
        ),
        no_cache=read.flag("NO_CACHE"),
        previous_manifest=read.manifest("PREVIOUS_MANIFEST"),
        allow_local_repos=read.flag("ALLOW_LOCAL_REPOS"),
        allow_file_repo=read.flag("ALLOW_FILE_REPO"),
        site_url=read.url("SITE_URL", ("http://", "https://")),
        supervised=read.flag("SUPERVISED"),
    )
    if read.mistakes:
        raise ContractError(read.mistakes)
    return contract


class _Reader:
    """Reads one variable at a time; a mistake is noted and a harmless value returned in its place."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.mistakes: list[str] = []

    def _mistake(self, name: str, what: str) -> None:
        self.mistakes.append(f"{name} {what}.")

    def text(self, name: str) -> str | None:
        value = self._env.get(name, "")
        if "\0" in value or not value.isprintable():
            self._mistake(name, "holds a control character")
            return None
        return value.strip() or None

    def required(self, name: str) -> str:
        value = self.text(name)
        if value is None and not self._env.get(name, "").strip():
            self._mistake(name, "is required")
        return value or ""

    def label(self, name: str, *, default: str | None) -> str:
        value = self.text(name) or default
        if value is None:
            return self.required(name)
        if not _LABEL.fullmatch(value):
            self._mistake(name, "must be 1 to 63 letters, digits and inner hyphens")
        return value

    def manifest(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not _MANIFEST.fullmatch(value):
            self._mistake(
                name,
                "must be the key of a manifest: __output/{projectID}/{deploymentID}/manifest.json",
            )
        return value

    def whole(self, name: str, default: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        if not re.fullmatch(r"[0-9]{1,18}", value, re.ASCII) or int(value) < 1:
            self._mistake(name, "must be a whole number from 1 up")
            return default
        return int(value)

    def flag(self, name: str) -> bool:
        value = self.text(name)
        if value not in (None, "0", "1"):
            self._mistake(name, "must be 0 or 1")
        return value == "1"

    def ref(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and (not _REF.fullmatch(value) or _REF_NEVER.search(value)):
            self._mistake(name, "is not a branch, a tag or a full commit id")
        return value

    def token(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not _TOKEN.fullmatch(value):
            self._mistake(name, "must be a token, or a user name and a token with : between them")
        return value

    def directory(self, name: str) -> PurePosixPath | None:
        value = self.text(name)
        if value is None:
            return None
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\\" in value or len(value) > KIB:
            self._mistake(name, "must be a directory inside the repository, such as packages/web")
        if ".git" in path.parts:
            self._mistake(name, "must not be git's own directory")
        return path

    def command(self, name: str) -> str | None:
        value = self._env.get(name, "")
        if "\0" in value or len(value) > 4 * KIB:
            self._mistake(name, "must be text of at most 4 KiB")
        return value.strip() or None

    def build_env(self, name: str) -> Mapping[str, str]:
        raw = self._env.get(name, "").strip() or "{}"
        try:
            parsed = json.loads(raw)
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            self._mistake(name, "must be a JSON object of strings")
            return {}
        for key, value in parsed.items():
            if not _ENV_KEY.fullmatch(key) or _RESERVED_ENV.fullmatch(key):
                self._mistake(name, f"must not set {key[:128]!a}")
            if not isinstance(value, str) or "\0" in value or not _encodes(value):
                self._mistake(name, f"must hold text at {key[:128]!a}")
        return {key: value for key, value in parsed.items() if isinstance(value, str)}

    def artifacts(self, name: str) -> str:
        value = self.text(name) or str(Path.cwd() / "__artifacts")
        if not value.startswith("/") and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value):
            self._mistake(name, "must be s3://bucket or an absolute directory")
        return value

    def absolute(self, name: str) -> Path | None:
        value = self.text(name)
        if value is None:
            return None
        if not value.startswith("/"):
            self._mistake(name, "must be an absolute directory")
        return Path(value)

    def url(self, name: str, schemes: tuple[str, ...]) -> str | None:
        value = self.text(name)
        if value is not None and not value.startswith(schemes):
            self._mistake(name, f"must begin with {', '.join(schemes)}")
        return value

    def grant(self, name: str) -> Grant | None:
        value = self.text(name)
        try:
            return parse_grant(value) if value is not None else None
        except ValueError:
            self._mistake(name, "is not a grant of the server's")
            return None

    def instant(self, name: str, default: datetime) -> datetime:
        value = self.text(name)
        if value is None:
            return default
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None:
            self._mistake(name, "must be an RFC 3339 instant such as 2030-01-31T12:00:00Z")
            return default
        return instant.astimezone(UTC)

    def sandbox(self, name: str) -> SandboxMode:
        value = self.text(name) or SandboxMode.BWRAP
        if value not in tuple(SandboxMode):
            self._mistake(name, "must be bwrap or none")
            return SandboxMode.BWRAP
        return SandboxMode(value)


def _encodes(value: str) -> bool:
    """JSON can hold a lone surrogate, which no environment can."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
