"""The builder contract's environment for one build; ``docs/builder-contract.md`` has each variable."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from scalemesh import keys
from scalemesh.db.queue import Claim
from scalemesh.examples import example_repository
from scalemesh.model import Target


@dataclass(frozen=True, slots=True)
class BuildPlace:
    """Where builds of this server read from and write to; the same for each of them.

    ``redis_url`` is for builders that are no user of their own (`LogWriters`).
    """

    artifacts: str
    s3_endpoint_url: str
    redis_url: str
    sandbox: str
    allow_local_repos: bool
    examples: Path
    memory_bytes: int | None = None


def site_label(claim: Claim) -> str:
    """Where the build's links lead: a preview's to itself, not to the files of what is live."""
    return claim.slug if claim.target is Target.PRODUCTION else f"{claim.deployment_id}--{claim.slug}"


def live_manifest(claim: Claim) -> str | None:
    """Its key, where something of the project is live."""
    if claim.production is None:
        return None
    return keys.manifest(claim.project_id, claim.production.deployment_id, claim.production.attempt)


def builder_environment(
    claim: Claim,
    place: BuildPlace,
    *,
    env: Mapping[str, str],
    git_token: str | None,
    site_url: str,
    first_seq: int,
    redis_url: str,
    upload_grant: str | None = None,
) -> dict[str, str]:
    """Variables without a value are left out: the builder has its own defaults for them."""
    example = example_repository(place.examples, claim.git_url)
    variables = {
        "GITHUB_REPO_URL": example.as_uri() if example else claim.git_url,
        "ALLOW_FILE_REPO": "1" if example else "",
        "ALLOW_LOCAL_REPOS": "1" if place.allow_local_repos else "",
        "projectID": claim.project_id,
        "DEPLOYMENT_ID": claim.deployment_id,
        "ATTEMPT": str(claim.attempt),
        "GIT_TOKEN": git_token or "",
        "GIT_REF": claim.ref or "",
        "ROOT_DIRECTORY": claim.build.root_directory or "",
        "INSTALL_COMMAND": claim.build.install_command or "",
        "BUILD_COMMAND": claim.build.build_command or "",
        "OUTPUT_DIRECTORY": claim.build.output_directory or "",
        "BUILD_ENV": json.dumps(dict(env)) if env else "",
        "NO_CACHE": "1" if claim.no_cache else "",
        "PREVIOUS_MANIFEST": live_manifest(claim) or "",
        "ARTIFACTS": place.artifacts,
        "S3_ENDPOINT_URL": place.s3_endpoint_url,
        "UPLOAD_GRANT": upload_grant or "",
        "REDIS_URL": redis_url,
        "LOG_FIRST_SEQ": str(first_seq),
        "BUILD_DEADLINE": claim.deadline.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "BUILD_SANDBOX": place.sandbox,
        "BUILD_MEMORY_BYTES": str(place.memory_bytes or ""),
        "SITE_URL": site_url,
    }
    return {name: value for name, value in variables.items() if value}
