"""Every setting, read once from the environment; all mistakes are reported together.

Nothing else in the project reads the environment of the server. A limit has its unit in its name.
"""

import ipaddress
import os
import re
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from scalemesh.addresses import (
    database_address,
    is_http_url,
    is_loopback,
    redis_address,
    trusting_any_certificate,
)
from scalemesh.model import QueueLimits

EMBEDDED_MAX_PROCESSES = 8
"""Each may use ten of its hundred connections."""


class SettingsError(Exception):
    """The environment can't be used. ``str(error)`` names each setting and the fix, one a line."""


def _split_commas(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]


def _setting(name: str, default: Any, description: str, *, unset: str = "", **bounds: float) -> Any:
    """A field with what docs/settings.md says of it; ``unset`` where the default is more than a value."""
    return Field(
        default,
        alias=name,
        description=description,
        json_schema_extra={"unset": unset},
        **cast("Any", bounds),
    )


class Settings(BaseSettings):
    """The server's settings. An unset one has the default of one machine with nothing configured."""

    model_config = SettingsConfigDict(
        case_sensitive=True, env_ignore_empty=True, frozen=True, extra="ignore", validate_default=True
    )

    host: str = _setting(
        "HOST", "", "The address to listen on.", unset="`127.0.0.1`; `0.0.0.0` where `PORT` is set"
    )
    port: int = _setting("PORT", 9000, "The port to listen on; hosting platforms set it.", ge=0, le=65535)
    data_dir: Path = _setting(
        "DATA_DIR",
        Path(".scalemesh"),
        "What this server keeps in files: whatever no setting keeps elsewhere.",
    )
    public_url: str = _setting(
        "PUBLIC_URL",
        "",
        "Where people find the dashboard: `https://deploy.example.com`. With `https`, cookies need TLS.",
        unset="`http://localhost:{PORT}`",
    )
    sites_domain: str = _setting(
        "SITES_DOMAIN", "", "Sites are at its subdomains: `sites.example.com`.", unset="`localhost:{PORT}`"
    )
    database_url: str = _setting(
        "DATABASE_URL",
        "",
        "PostgreSQL: `postgres://user:password@host:5432/name?sslmode=require`, or libpq's words: "
        "`host=… user=… password=… dbname=… port=… sslmode=…`. Without `sslmode`, TLS where it is offered.",
        unset="a PostgreSQL of its own",
    )
    dburi: str = _setting("DBURI", "", "Another name for `DATABASE_URL`.")
    session_key: str = _setting(
        "SESSION_KEY",
        "",
        "Encrypts cookies, variables and access tokens: any string of 16 or more characters, the same for "
        "every server. Required beside `DATABASE_URL`.",
        unset="made once and kept in `DATA_DIR`",
    )
    # Heroku sets it by the size of the machine.
    web_concurrency: int = _setting(
        "WEB_CONCURRENCY",
        1,
        "Server processes on the port, one for each processor that serving sites may use. Each takes some "
        f"120 MB and caches of its own; on the embedded database at most {EMBEDDED_MAX_PROCESSES}. On Linux: "
        "elsewhere one of them gets all the requests.",
        ge=1,
        le=64,
    )
    redis_url: str = _setting(
        "REDIS_URL",
        "",
        "Redis or Valkey: `redis://:password@host:6379/0`, `rediss://` for TLS, `unix://`. An authority of "
        "your own: `rediss://…?ssl_ca_certs=/path/ca.pem`.",
        unset="a Valkey of its own",
    )
    redis_tls_verify: bool = _setting(
        "REDIS_TLS_VERIFY",
        True,
        "`0` accepts any certificate of a `rediss://` Redis, for hosts whose certificates are self-signed. "
        "Still encrypted, but whoever is on the way can pass for Redis; the server says so at each start.",
    )
    s3_bucket: str = _setting(
        "S3_BUCKET",
        "",
        "The bucket that sites, logs and caches are stored in; keys as boto finds them (below).",
        unset="files in `DATA_DIR`",
    )
    s3_endpoint_url: str = _setting("S3_ENDPOINT_URL", "", "An S3 that is not AWS: `https://s3.example.com`.")
    builder: Literal["process", "docker"] = _setting(
        "BUILDER",
        "process",
        "Where builds run: a child process of the server, or a container each ([docker.md](docker.md)).",
    )
    docker_host: str = _setting(
        "DOCKER_HOST",
        "unix:///var/run/docker.sock",
        "`BUILDER=docker`: the API of Docker or Podman; `unix://`, `tcp://` or `https://`.",
    )
    docker_network: str = _setting(
        "DOCKER_NETWORK",
        "",
        "`BUILDER=docker`: the network of build containers.",
        unset="the engine's default",
    )
    builder_image: str = _setting(
        "BUILDER_IMAGE", "scalemesh-builder", "`BUILDER=docker`: what `make builder-image` builds."
    )
    build_timeout_s: int = _setting("BUILD_TIMEOUT_S", 900, "How long a build may take.", ge=10, le=6 * 3600)
    # A build uses about one core and up to a gigabyte; two keep a small machine responsive.
    build_concurrency: int = _setting(
        "BUILD_CONCURRENCY", 2, "Builds at once, of all servers on one database.", ge=1, le=64
    )
    # One person's twenty pushes leave room for everybody else's one.
    builds_per_user: int = _setting("BUILDS_PER_USER", 2, "Of these, one user's at once.", ge=1, le=64)
    # Whoever waits an hour should be told that something is wrong rather than go on waiting.
    build_queue_timeout_s: int = _setting(
        "BUILD_QUEUE_TIMEOUT_S", 3600, "How long a deployment may wait for a builder.", ge=10, le=24 * 3600
    )
    # Enough for every framework's own examples; a machine with less should build less at once.
    build_memory_mib: int = _setting("BUILD_MEMORY_MIB", 4096, "Memory of one build.", ge=256)
    # Of a container; bundlers use more threads than they gain from.
    build_cpus: float = _setting("BUILD_CPUS", 2.0, "`BUILDER=docker`: processors of one build.", gt=0)
    build_sandbox: Literal["bwrap", "none"] | None = _setting(
        "BUILD_SANDBOX",
        None,
        "`BUILDER=process`: `bwrap`, or `none`, which is accepted only while `HOST` is this machine.",
        unset="what works here",
    )
    # The small files of some hundred busy sites; of a process, beside its own 120 MB.
    cache_memory_mib: int = _setting(
        "CACHE_MEMORY_MIB", 128, "Memory for the files of sites that are visited most.", ge=0
    )
    # What a small volume has beside the rest of the data directory.
    cache_disk_mib: int = _setting(
        "CACHE_DISK_MIB",
        1024,
        "With `S3_BUCKET`: disk, in `DATA_DIR`, for files that were visited; `0` keeps none.",
        ge=0,
    )
    git_allowed_hosts: CommaList = _setting(
        "GIT_ALLOWED_HOSTS",
        (),
        "Hosts that repositories may come from: `github.com,gitlab.com`.",
        unset="any public host",
    )
    allow_local_repos: bool = _setting(
        "ALLOW_LOCAL_REPOS", False, "`1` also admits `http://` and private addresses: for closed networks."
    )
    trusted_proxies: CommaList = _setting(
        "TRUSTED_PROXIES",
        (),
        "Networks whose `X-Forwarded-For` is believed: `10.0.0.0/8,192.168.1.5`. It says whose log-in tries "
        "are counted, and nothing else is taken from such headers.",
        unset="none",
    )
    signups: Literal["open", "closed"] = _setting("SIGNUPS", "open", "`closed` takes no new accounts.")
    # A balancer that asks every two seconds and wants two refusals has noticed by then.
    drain_s: int | None = _setting(
        "DRAIN_S",
        None,
        "How long a server that was told to stop (SIGTERM) still answers, with 503 at `/health`, before it "
        "closes.",
        unset="`5`; `0` while `HOST` is this machine",
        ge=0,
        le=10,
    )
    metrics_token: str = _setting(
        "METRICS_TOKEN",
        "",
        "Whoever sends it as a bearer token may read `/metrics` ([metrics.md](metrics.md)).",
        unset="programs on this machine may",
    )
    access_log: Literal["off", "sampled", "full"] = _setting(
        "ACCESS_LOG",
        "off",
        "A line of JSON on standard output for each request (`full`), or for one in a hundred (`sampled`).",
    )

    @field_validator("web_concurrency")
    @classmethod
    def _embedded_postgres_has_room(cls, value: int, info: ValidationInfo) -> int:
        embedded = not (info.data.get("database_url", "mistaken") or info.data.get("dburi", "mistaken"))
        if embedded and value > EMBEDDED_MAX_PROCESSES:
            raise ValueError(
                f"is at most {EMBEDDED_MAX_PROCESSES} on the embedded database: lower it, or set DATABASE_URL"
            )
        return value

    @field_validator("metrics_token")
    @classmethod
    def _metrics_token_is_one(cls, value: str) -> str:
        if value and not re.fullmatch(r"[!-~]{16,}", value):
            raise ValueError("use at least 16 characters without spaces, for example `openssl rand -hex 32`")
        return value

    @field_validator("session_key")
    @classmethod
    def _session_key_is_long(cls, value: str, info: ValidationInfo) -> str:
        if value and len(value) < 16:
            raise ValueError("use at least 16 characters, for example from `openssl rand -hex 32`")
        # A mistaken address is missing from the data, and was meant as one all the same.
        if not value and (info.data.get("database_url", "mistaken") or info.data.get("dburi", "mistaken")):
            raise ValueError(
                "required beside DATABASE_URL: set it to a random string, for example from "
                "`openssl rand -hex 32`, the same for every server process"
            )
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network, strict=False)
        return value

    @field_validator("database_url", "dburi")
    @classmethod
    def _database_is_one(cls, value: str, info: ValidationInfo) -> str:
        address = database_address(value) if value else ""
        if address and info.data.get("database_url") not in (None, "", address):
            raise ValueError("DATABASE_URL names another database: set one of them")
        return address

    @field_validator("redis_url")
    @classmethod
    def _redis_is_one(cls, value: str) -> str:
        return redis_address(value) if value else ""

    @field_validator("redis_tls_verify")
    @classmethod
    def _only_tls_has_certificates(cls, value: bool, info: ValidationInfo) -> bool:
        if not value and not info.data.get("redis_url", "rediss://").startswith("rediss://"):
            raise ValueError("0 is for a REDIS_URL that begins with rediss://")
        return value

    @field_validator("s3_bucket")
    @classmethod
    def _bucket_is_a_name(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}", value):
            raise ValueError("give the bucket's name alone, like my-artifacts: no s3://, no path")
        return value

    @field_validator("s3_endpoint_url")
    @classmethod
    def _endpoint_is_one(cls, value: str, info: ValidationInfo) -> str:
        if value and not is_http_url(value):
            raise ValueError("give a URL like https://s3.example.com")
        if value and info.data.get("s3_bucket") == "":
            raise ValueError("needs S3_BUCKET beside it: the bucket that sites are stored in")
        return value

    @field_validator("docker_host")
    @classmethod
    def _containers_reach_what_they_need(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("builder") != "docker":
            return value
        if not value.startswith(("unix://", "tcp://", "http://", "https://")):
            raise ValueError("begins with unix://, tcp:// or https://")
        if not value.startswith("unix://") and "" in (info.data.get("s3_bucket"), info.data.get("redis_url")):
            raise ValueError(
                "is reached over the network, so its containers can't use files and sockets "
                "of this machine: set S3_BUCKET and REDIS_URL, or use a unix:// DOCKER_HOST"
            )
        return value

    @field_validator("build_sandbox")
    @classmethod
    def _unsandboxed_builds_are_ones_own(
        cls, value: Literal["bwrap", "none"] | None, info: ValidationInfo
    ) -> Literal["bwrap", "none"] | None:
        if value == "none" and not is_loopback(info.data.get("host", "localhost")):
            raise ValueError(
                "none runs strangers' code as this server's user, which is accepted only "
                "while HOST is a loopback address: install bubblewrap, or set HOST=127.0.0.1"
            )
        return value

    @field_validator("git_allowed_hosts")
    @classmethod
    def _hosts_are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not re.fullmatch(r"[A-Za-z0-9.-]+", host):
                raise ValueError(f"give hosts only, like github.com, not {host}")
        return tuple(host.lower() for host in value)

    @field_validator("sites_domain")
    @classmethod
    def _sites_domain_is_a_host(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?", value):
            raise ValueError("give a host, and a port where there is one, like sites.example.com")
        return value.lower()

    @field_validator("public_url")
    @classmethod
    def _public_url_is_an_origin(cls, value: str) -> str:
        if not value:
            return value
        if not is_http_url(value) or urlsplit(value).path not in ("", "/"):
            raise ValueError("give scheme and host only, like https://deploy.example.com")
        return value.rstrip("/")

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: dict[str, Any]) -> dict[str, Any]:
        values = dict(values)
        port = values.get("PORT") or 9000
        # A mistaken port is reported once, as PORT's.
        port = port if str(port).isdecimal() else 9000
        # Hosting platforms give PORT and expect a server that the outside can reach.
        values["HOST"] = values.get("HOST") or ("0.0.0.0" if values.get("PORT") else "127.0.0.1")  # noqa: S104
        values["PUBLIC_URL"] = values.get("PUBLIC_URL") or f"http://localhost:{port}"
        values["SITES_DOMAIN"] = values.get("SITES_DOMAIN") or f"localhost:{port}"
        return values

    @property
    def database(self) -> str:
        """The configured database's URL, or an empty string where the embedded one is to start."""
        return self.database_url or self.dburi

    @property
    def embeds_postgres(self) -> bool:
        return not self.database

    @property
    def embeds_redis(self) -> bool:
        return not self.redis_url

    @property
    def offers_examples(self) -> bool:
        """The bundled examples are repositories on this machine, so only its own builder reaches them."""
        return self.embeds_postgres and self.builder == "process"

    @property
    def queue_limits(self) -> QueueLimits:
        return QueueLimits(builds=self.build_concurrency, builds_per_user=self.builds_per_user)

    @property
    def redis(self) -> str:
        """The configured Redis's URL with what REDIS_TLS_VERIFY adds, or an empty string."""
        return self.redis_url if self.redis_tls_verify else trusting_any_certificate(self.redis_url)

    @property
    def listens_on_loopback_only(self) -> bool:
        return is_loopback(self.host)

    @property
    def drain_notice_s(self) -> int:
        """Nothing balances between servers that only this machine reaches."""
        return (0 if self.listens_on_loopback_only else 5) if self.drain_s is None else self.drain_s

    @property
    def control_hosts(self) -> frozenset[str]:
        """Hosts that reach the application rather than a site; a port is ignored."""
        names = {urlsplit(self.public_url).netloc}
        if self.listens_on_loopback_only:
            names |= {"localhost", "127.0.0.1", "[::1]"}
        return frozenset(names)

    @property
    def secure_cookies(self) -> bool:
        return self.public_url.startswith("https://")

    def site_url(self, label: str) -> str:
        """``http(s)://{label}.{SITES_DOMAIN}``, with the scheme of PUBLIC_URL."""
        return f"{urlsplit(self.public_url).scheme}://{label}.{self.sites_domain}"


def load_settings(**given: object) -> Settings:
    """Read the environment; ``given`` (by the environment's names) goes before it.

    Raises SettingsError with one line for each mistake, each beginning with the variable to change.
    """
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise SettingsError("\n".join(_describe(mistake) for mistake in error.errors())) from None


def _describe(mistake: ErrorDetails) -> str:
    sentence = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "int_parsing":
        sentence = "give a whole number"
    name = str(mistake["loc"][0])
    # A mistake in a default is told by the field's own name.
    field = Settings.model_fields.get(name)
    return f"{field.alias if field else name}: {sentence}"


def session_key(settings: Settings) -> str:
    """The configured key, or the one kept in the data directory (made once, mode 0600)."""
    if settings.session_key:
        return settings.session_key
    path = settings.data_dir / "session.key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    return path.read_text().strip()
