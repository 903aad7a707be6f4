"""Small sites made by hand: their manifest, and their blobs in a store."""

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from builder.site_rules.headers import HeaderBlock, parse_headers
from builder.site_rules.redirects import Redirect, parse_redirects
from scalemesh import keys
from scalemesh.artifacts import ArtifactStore
from scalemesh.model import DeploymentID, ProjectID, SiteRoute
from scalemesh.sites.manifest import Manifest, parse_manifest

CREATED_AT = datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC)
LAST_MODIFIED = "Wed, 04 Mar 2026 05:06:07 GMT"

TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "png": "image/png",
}


@dataclass(frozen=True, slots=True)
class File:
    """``encodings`` are made up by hand, so that a test sees which one it got."""

    content: bytes
    fingerprinted: bool = False
    encodings: Mapping[str, bytes] = field(default_factory=dict)


Files = Mapping[str, bytes | File]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def etag(data: bytes) -> str:
    return f'"{sha256(data)[:32]}"'


def compressed(content: bytes, *, fingerprinted: bool = False) -> File:
    return File(content, fingerprinted, {"br": b"br:" + content, "gzip": gzip.compress(content, mtime=0)})


def manifest_json(
    files: Files, *, spa: bool = False, redirects: Sequence[str] = (), headers: str = ""
) -> dict[str, Any]:
    """``redirects`` are lines of ``_redirects``, ``headers`` is the text of ``_headers``."""
    return {
        "version": 1,
        "projectID": "p1",
        "deploymentID": "d1",
        "commit": "0" * 40,
        "framework": "static",
        "createdAt": CREATED_AT.isoformat(),
        "files": {path: _entry(path, _as_file(file)) for path, file in files.items()},
        "redirects": _rules(parse_redirects("\n".join(redirects).encode())),
        "headers": _rules(parse_headers(headers.encode())),
        "spa": spa,
    }


def manifest(
    files: Files, *, spa: bool = False, redirects: Sequence[str] = (), headers: str = ""
) -> Manifest:
    content = manifest_json(files, spa=spa, redirects=redirects, headers=headers)
    return parse_manifest(json.dumps(content).encode())


def pages(*paths: str, spa: bool = False, redirects: Sequence[str] = (), headers: str = "") -> Manifest:
    """A site whose every file has its own path as its content."""
    files = {path: path.encode() for path in paths}
    return manifest(files, spa=spa, redirects=redirects, headers=headers)


async def publish(
    store: ArtifactStore,
    files: Files,
    *,
    project: str = "p1",
    deployment: str = "d1",
    spa: bool = False,
    attempt: int = 1,
    preview: bool = False,
    redirects: Sequence[str] = (),
) -> SiteRoute:
    """Put a site into ``store`` as a builder would, and return the route to it."""
    project_id, deployment_id = ProjectID(project), DeploymentID(deployment)
    for file in map(_as_file, files.values()):
        for data in (file.content, *file.encodings.values()):
            await store.write(keys.blob(project_id, sha256(data)), data)
    data = json.dumps(manifest_json(files, spa=spa, redirects=redirects)).encode()
    await store.write(keys.manifest(project_id, deployment_id, attempt), data)
    return SiteRoute(project_id, deployment_id, attempt, preview=preview)


def _rules(parsed: tuple[Sequence[Redirect | HeaderBlock], list[str]]) -> list[dict[str, Any]]:
    rules, reports = parsed
    assert reports == []
    return [rule.to_json() for rule in rules]


def _as_file(file: bytes | File) -> File:
    return file if isinstance(file, File) else File(file)


def _entry(path: str, file: File) -> dict[str, Any]:
    return {
        **_form(file.content),
        "type": TYPES.get(path.rpartition(".")[2], "application/octet-stream"),
        "fingerprinted": file.fingerprinted,
        "encodings": {coding: _form(data) for coding, data in file.encodings.items()},
    }


def _form(data: bytes) -> dict[str, Any]:
    return {"sha256": sha256(data), "bytes": len(data)}
