"""Ids from paths and bodies. What can't be an id is answered like one that never was."""

import re

from scalemesh.errors import DeploymentNotFound, ProjectNotFound
from scalemesh.model import DeploymentID, ProjectID

_ID = re.compile(r"[a-z0-9]{1,40}")


def project_id_of(text: str) -> ProjectID:
    """Raises ProjectNotFound."""
    if not _ID.fullmatch(text):
        raise ProjectNotFound
    return ProjectID(text)


def deployment_id_of(text: str) -> DeploymentID:
    """Raises DeploymentNotFound."""
    if not _ID.fullmatch(text):
        raise DeploymentNotFound
    return DeploymentID(text)
