"""Every setting, read once from the environment; all mistakes are reported together.

Nothing else in the project reads the environment of the server.
"""

import ipaddress
import os
import re
import secrets
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from scalemesh.addresses import (
    database_address,
    is_http_url,
    is_loopback,
    redis_address,
    trusting_any_certificate,
)
from scalemesh.ecs_settings import mistakes_of_ecs
from scalemesh.model import QueueLimits
from scalemesh.setting_fields import EMBEDDED_MAX_PROCESSES, SettingFields


class SettingsError(Exception):
    """The environment can't be used. ``str(error)`` names each setting and the fix, one a line."""


class Settings(SettingFields):
    """The server's settings, as they are checked and what follows from them."""

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

    @field_validator("redis_url", "redis_builder_url")
    @classmethod
    def _redis_is_one(cls, value: str) -> str:
        return redis_address(value) if value else ""

    @field_validator("redis_builder_url")
    @classmethod
    def _builders_use_the_same_redis(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("redis_url") == "":
            raise ValueError(
                "needs REDIS_URL beside it; on a Valkey of its own each builder is a user already"
            )
        return value

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

    @model_validator(mode="after")
    def _tasks_reach_what_they_need(self) -> Self:
        if self.builder == "ecs":
            given = {
                "ECS_CLUSTER": (self.ecs_cluster,),
                "ECS_TASK_DEFINITION": (self.ecs_task_definition,),
                "ECS_SUBNETS": self.ecs_subnets,
                "ECS_SECURITY_GROUPS": self.ecs_security_groups,
                "S3_BUCKET": (self.s3_bucket,),
                "REDIS_URL": (self.redis_url,),
                "REDIS_BUILDER_URL": (self.redis_builder_url,),
            }
            if mistakes := mistakes_of_ecs(given, launch_type=self.ecs_launch_type):
                raise ValueError("\n".join(mistakes))
        return self

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
        return self._as_trusted(self.redis_url)

    @property
    def redis_builder(self) -> str:
        """The same of REDIS_BUILDER_URL."""
        return self._as_trusted(self.redis_builder_url)

    def _as_trusted(self, url: str) -> str:
        return url if self.redis_tls_verify or not url else trusting_any_certificate(url)

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
    if not mistake["loc"]:
        return sentence  # of several settings, which it names
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
