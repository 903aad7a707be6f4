"""Every id, key and channel name that leaves this process, in one place.

Artifact keys are the same in S3 and in a directory; the builder writes them too, and
``docs/builder-contract.md`` holds both ends to them.
"""

import secrets
import string

from scalemesh.model import DeploymentID, ProjectID


def project_prefix(project_id: ProjectID) -> str:
    return f"__output/{project_id}/"


def blob(project_id: ProjectID, sha256: str) -> str:
    return f"__output/{project_id}/blobs/{sha256}"


def manifest(project_id: ProjectID, deployment_id: DeploymentID, attempt: int) -> str:
    """Written last by that attempt's builder: its presence means that the upload is whole.

    Each attempt has its own: a builder that stalled in an earlier one can't write over a later one's. The
    first one's name is also what a later one's is copied to.
    """
    name = "manifest.json" if attempt == 1 else f"manifest-{attempt}.json"
    return f"__output/{project_id}/{deployment_id}/{name}"


def build_log(project_id: ProjectID, deployment_id: DeploymentID, attempt: int) -> str:
    """The log up to the end of that attempt, as gzipped NDJSON, under names like the manifests'.

    The first one's name is also that of the whole log in the end.
    """
    name = "build.log.gz" if attempt == 1 else f"build-{attempt}.log.gz"
    return f"__output/{project_id}/{deployment_id}/{name}"


def caches(project_id: ProjectID) -> str:
    """What the key of every archive of the project's caches begins with."""
    return f"__output/{project_id}/cache/"


def log_stream(deployment_id: DeploymentID) -> str:
    """The Redis stream of a build's batches. An entry's id is ``{seq of its last line}-0``."""
    return f"build-log:{deployment_id}"


def log_archived(deployment_id: DeploymentID, attempt: int) -> str:
    """The Redis list that gets an element once the log object of that attempt is stored."""
    return f"build-archived:{deployment_id}:{attempt}"


def log_channel(project_id: ProjectID) -> str:
    """The Redis channel on which the project's batches are published as they are written."""
    return f"logs:{project_id}"


EVENTS_CHANNEL = "scalemesh:events"
"""What server processes tell each other: a deployment's new status, a session's end."""

_LETTERS = string.ascii_lowercase
_LETTERS_AND_DIGITS = _LETTERS + string.digits


def new_id() -> str:
    """A new random id: 12 lowercase letters and digits (61 bits), a letter first; a DNS label."""
    return secrets.choice(_LETTERS) + "".join(secrets.choice(_LETTERS_AND_DIGITS) for _ in range(11))
