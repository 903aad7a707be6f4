"""The server's settings: names, types, defaults, bounds, and what docs/settings.md says of each.

A limit has its unit in its name.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

EMBEDDED_MAX_PROCESSES = 8
"""Each may use ten of its hundred connections."""


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


class SettingFields(BaseSettings):
    """An unset one has the default of one machine with nothing configured."""

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
    builder: Literal["process", "docker", "ecs"] = _setting(
        "BUILDER",
        "process",
        "Where builds run: a child process of the server, a container each ([docker.md](docker.md)), or a "
        "task of Amazon ECS each ([deploy-aws.md](deploy-aws.md)).",
    )
    redis_builder_url: str = _setting(
        "REDIS_BUILDER_URL",
        "",
        "What builders write their log with: `REDIS_URL` of a Redis user who can do nothing else. Required "
        "with `BUILDER=ecs`. On its own Valkey the server gives each builder a user of its own.",
        unset="`REDIS_URL`",
    )
    ecs_cluster: str = _setting("ECS_CLUSTER", "", "`BUILDER=ecs`: the cluster. Required with it.")
    ecs_task_definition: str = _setting(
        "ECS_TASK_DEFINITION", "", "`BUILDER=ecs`: `family` or `family:revision`. Required with it."
    )
    ecs_container_name: str = _setting(
        "ECS_CONTAINER_NAME", "builder", "`BUILDER=ecs`: the builder's container in the task definition."
    )
    ecs_subnets: CommaList = _setting(
        "ECS_SUBNETS", (), "`BUILDER=ecs`: `subnet-…,subnet-…`; required for Fargate.", unset="none"
    )
    ecs_security_groups: CommaList = _setting(
        "ECS_SECURITY_GROUPS", (), "`BUILDER=ecs`: `sg-…,sg-…`.", unset="the VPC's default one"
    )
    ecs_assign_public_ip: bool = _setting(
        "ECS_ASSIGN_PUBLIC_IP",
        False,
        "`BUILDER=ecs`: `1` in subnets whose way out is an internet gateway.",
    )
    ecs_launch_type: Literal["FARGATE", "FARGATE_SPOT", "EC2"] = _setting(
        "ECS_LAUNCH_TYPE", "FARGATE", "`BUILDER=ecs`: what tasks run on."
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
        "BUILD_CONCURRENCY", 2, "Builds at once, of all servers on one database.", ge=1, le=1000
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
