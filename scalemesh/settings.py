"""Every setting, read once from the environment; all mistakes are reported together.

Nothing else in the project reads the environment of the server. A limit has its unit in its name.
"""

import ipaddress
import os
import re
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlencode, urlsplit

import redis.connection
from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from scalemesh.model import QueueLimits


class SettingsError(Exception):
    """The environment can't be used. ``str(error)`` names each setting and the fix, one a line."""


def _split_commas(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]


class Settings(BaseSettings):
    """The server's settings. An unset one has the default of one machine with nothing configured."""

    model_config = SettingsConfigDict(case_sensitive=True, env_ignore_empty=True, frozen=True, extra="ignore")

    host: str = Field("", alias="HOST", description="Address to listen on.")
    port: int = Field(9000, alias="PORT", ge=0, le=65535)
    data_dir: Path = Field(Path(".scalemesh"), alias="DATA_DIR")
    public_url: str = Field("", alias="PUBLIC_URL", description="The control host's URL.")
    sites_domain: str = Field("", alias="SITES_DOMAIN", description="Sites are at its subdomains.")
    session_key: str = Field("", alias="SESSION_KEY", description="Any string of 16 or more characters.")
    database_url: str = Field("", alias="DATABASE_URL")
    dburi: str = Field("", alias="DBURI", description="Another name for DATABASE_URL.")
    redis_url: str = Field("", alias="REDIS_URL")
    s3_bucket: str = Field("", alias="S3_BUCKET")
    s3_endpoint_url: str = Field("", alias="S3_ENDPOINT_URL")
    builder: Literal["process", "docker", "ecs"] = Field("process", alias="BUILDER")
    docker_host: str = Field("unix:///var/run/docker.sock", alias="DOCKER_HOST")
    docker_network: str = Field("", alias="DOCKER_NETWORK", description="Empty: the engine's default.")
    builder_image: str = Field("scalemesh-builder", alias="BUILDER_IMAGE")
    redis_builder_url: str = Field("", alias="REDIS_BUILDER_URL", description="A user who only writes logs.")
    ecs_cluster: str = Field("", alias="ECS_CLUSTER")
    ecs_task_definition: str = Field("", alias="ECS_TASK_DEFINITION", description="family or family:revision")
    ecs_container_name: str = Field("builder", alias="ECS_CONTAINER_NAME")
    ecs_subnets: CommaList = Field((), alias="ECS_SUBNETS")
    ecs_security_groups: CommaList = Field((), alias="ECS_SECURITY_GROUPS")
    ecs_assign_public_ip: bool = Field(False, alias="ECS_ASSIGN_PUBLIC_IP")
    ecs_launch_type: Literal["FARGATE", "FARGATE_SPOT", "EC2"] = Field("FARGATE", alias="ECS_LAUNCH_TYPE")
    build_timeout_s: int = Field(900, alias="BUILD_TIMEOUT_S", ge=10, le=6 * 3600)
    # A build uses about one core and up to a gigabyte; two keep a small machine responsive.
    build_concurrency: int = Field(2, alias="BUILD_CONCURRENCY", ge=1, le=1000)
    # One person's twenty pushes leave room for everybody else's one.
    builds_per_user: int = Field(2, alias="BUILDS_PER_USER", ge=1, le=64)
    # Whoever waits an hour should be told that something is wrong rather than go on waiting.
    build_queue_timeout_s: int = Field(3600, alias="BUILD_QUEUE_TIMEOUT_S", ge=10, le=24 * 3600)
    # Enough for every framework's own examples; a machine with less should build less at once.
    build_memory_mib: int = Field(4096, alias="BUILD_MEMORY_MIB", ge=256)
    # Of a container; bundlers use more threads than they gain from.
    build_cpus: float = Field(2.0, alias="BUILD_CPUS", gt=0)
    build_sandbox: Literal["bwrap", "none"] | None = Field(None, alias="BUILD_SANDBOX")
    # The small files of some hundred busy sites; of a process, beside its own 120 MB.
    cache_memory_mib: int = Field(128, alias="CACHE_MEMORY_MIB", ge=0)
    git_allowed_hosts: CommaList = Field((), alias="GIT_ALLOWED_HOSTS")
    allow_local_repos: bool = Field(False, alias="ALLOW_LOCAL_REPOS")
    trusted_proxies: CommaList = Field((), alias="TRUSTED_PROXIES")
    signups: Literal["open", "closed"] = Field("open", alias="SIGNUPS")

    @field_validator("session_key")
    @classmethod
    def _session_key_is_long(cls, value: str) -> str:
        if value and len(value) < 16:
            raise ValueError("use at least 16 characters, for example from `openssl rand -hex 32`")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network, strict=False)
        return value

    @field_validator("database_url", "dburi")
    @classmethod
    def _database_is_known(cls, value: str) -> str:
        if value and not value.startswith(("postgres://", "postgresql://")):
            return keyword_dsn_to_url(value)
        return value

    @field_validator("redis_url", "redis_builder_url")
    @classmethod
    def _redis_url_is_one(cls, value: str) -> str:
        try:
            if value:
                redis.connection.parse_url(value)  # type: ignore[no-untyped-call]
        except ValueError:
            raise ValueError("give an address like redis://host:6379/0, rediss:// or unix://") from None
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
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
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

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.database_url and self.dburi and self.database_url != self.dburi:
            raise ValueError("DATABASE_URL and DBURI name two databases: set one of them")
        if self.s3_endpoint_url and not self.s3_bucket:
            raise ValueError("S3_ENDPOINT_URL needs S3_BUCKET beside it: the bucket that sites are stored in")
        if not self.embeds_postgres and not self.session_key:
            raise ValueError(
                "SESSION_KEY is required beside DATABASE_URL: set it to a random string, "
                "the same for every server process"
            )
        if self.build_sandbox == "none" and not self.listens_on_loopback_only:
            raise ValueError(
                "BUILD_SANDBOX=none runs strangers' code as this server's user, which is accepted only "
                "while HOST is a loopback address: install bubblewrap, or set HOST=127.0.0.1"
            )
        if self.builder == "docker":
            self._containers_reach_what_they_need()
        if self.builder == "ecs" and (mistakes := self._mistakes_of_ecs()):
            raise ValueError("\n".join(mistakes))
        return self

    def _mistakes_of_ecs(self) -> list[str]:
        """Tasks run elsewhere: all that they use is to be reached from there, with rights of their own."""
        needed = {
            "ECS_CLUSTER": (self.ecs_cluster, "the cluster's name"),
            "ECS_TASK_DEFINITION": (self.ecs_task_definition, "what `ecs-setup` prints"),
            "S3_BUCKET": (self.s3_bucket, "tasks can't store sites on this machine's disk"),
            "REDIS_URL": (self.redis_url, "tasks can't reach a Redis inside this machine"),
            "REDIS_BUILDER_URL": (
                self.redis_builder_url,
                "REDIS_URL of a user who may only write logs; docs/deploy-aws.md has its ACL",
            ),
        }
        mistakes = [
            f"{name}: BUILDER=ecs needs it: {what}" for name, (value, what) in needed.items() if not value
        ]
        if not self.ecs_subnets and self.ecs_launch_type != "EC2":
            mistakes.append("ECS_SUBNETS: Fargate needs it: one or more subnets of a VPC, subnet-…,subnet-…")
        shapes = {
            "ECS_CLUSTER": (
                (self.ecs_cluster,),
                r"[A-Za-z0-9_-]{1,255}|arn:[\w-]+:ecs:\S+",
                "a name or an ARN",
            ),
            "ECS_TASK_DEFINITION": (
                (self.ecs_task_definition,),
                r"[A-Za-z0-9_-]{1,255}(:[0-9]+)?|arn:[\w-]+:ecs:\S+",
                "family, family:revision or an ARN",
            ),
            "ECS_SUBNETS": (self.ecs_subnets, r"subnet-[0-9a-f]+", "ids like subnet-0a1b2c3d"),
            "ECS_SECURITY_GROUPS": (self.ecs_security_groups, r"sg-[0-9a-f]+", "ids like sg-0a1b2c3d"),
        }
        mistakes += [
            f"{name}: give {form}, not {value}"
            for name, (values, pattern, form) in shapes.items()
            for value in values
            if value and not re.fullmatch(pattern, value)
        ]
        for name, url in (("REDIS_URL", self.redis_url), ("REDIS_BUILDER_URL", self.redis_builder_url)):
            if url.startswith("unix://"):
                mistakes.append(f"{name}: tasks of ECS can't reach a socket of this machine")
        return mistakes

    def _containers_reach_what_they_need(self) -> None:
        if not self.docker_host.startswith(("unix://", "tcp://", "http://", "https://")):
            raise ValueError("DOCKER_HOST must begin with unix://, tcp:// or https://")
        if not self.docker_host.startswith("unix://") and (not self.s3_bucket or self.embeds_redis):
            raise ValueError(
                "DOCKER_HOST is reached over the network, so its containers can't use files and sockets "
                "of this machine: set S3_BUCKET and REDIS_URL, or use a unix:// DOCKER_HOST"
            )

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
    def listens_on_loopback_only(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

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


def keyword_dsn_to_url(text: str) -> str:
    """``host=… user=… dbname=…`` (libpq's keyword form) as a URL.

    Raises ValueError for an unknown word. ``TimeZone`` becomes a server setting.
    """
    known = {
        "host",
        "hostaddr",
        "port",
        "user",
        "password",
        "dbname",
        "sslmode",
        "TimeZone",
        "connect_timeout",
    }
    words: dict[str, str] = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals or name not in known:
            raise ValueError(
                "give a postgresql:// URL, or words like host=… user=… password=… dbname=… port=… sslmode=…"
            )
        words[name] = value
    if "host" not in words and "hostaddr" not in words:
        raise ValueError("host= is missing")
    login = quote(words.get("user", ""), safe="")
    if "password" in words:
        login += ":" + quote(words["password"], safe="")
    query = {"host": words.get("host") or words["hostaddr"], "port": words.get("port", "5432")}
    if "sslmode" in words:
        query["sslmode"] = words["sslmode"]
    if "TimeZone" in words:
        query["timezone"] = words["TimeZone"]
    return f"postgresql://{login}@/{quote(words.get('dbname', ''), safe='')}?{urlencode(query)}"


def load_settings(**given: object) -> Settings:
    """Read the environment; ``given`` (by the environment's names) goes before it.

    Raises SettingsError with one line for each mistake.
    """
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise SettingsError("\n".join(_describe(mistake) for mistake in error.errors())) from None


def _describe(mistake: ErrorDetails) -> str:
    sentence = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "int_parsing":
        sentence = "give a whole number"
    return f"{mistake['loc'][0]}: {sentence}" if mistake["loc"] else sentence


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
