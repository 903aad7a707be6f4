"""What a deployment is made of: the only names a visitor can reach."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, ValidationError

from scalemesh.sites.header_rules import MAX_BLOCKS, NO_HEADER_RULES, HeaderBlock, HeaderRules
from scalemesh.sites.redirects import MAX_REDIRECTS, NO_REDIRECTS, Redirect, Redirects, split_forced

NOT_FOUND_PAGE = "404.html"
RULE_FILES = ("/_redirects", "/_headers")
"""Instructions to the host, with names of pages that are not public yet: never served."""

Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
ByteCount = Annotated[int, Field(ge=0)]
FilePath = Annotated[str, StringConstraints(pattern="^(/[^/]+)+$")]
MediaType = Annotated[str, StringConstraints(pattern="^[!-~][ -~]*$")]  # goes into a header as it is


class ManifestDamaged(Exception):
    """Not a manifest that this server can read. ``str(error)`` says where it went wrong."""


class BlobDamaged(Exception):
    """The store has less than a manifest says, or more."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A compressed form of a file, made at build time."""

    sha256: Sha256
    bytes: ByteCount


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of a site. ``type`` is its Content-Type; ``encodings`` has forms by Content-Encoding.

    ``fingerprinted`` says that the name changes whenever the content does.
    """

    sha256: Sha256
    bytes: ByteCount
    type: MediaType
    fingerprinted: bool
    encodings: Mapping[str, Encoded]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One immutable deployment. ``files`` is keyed by decoded path: ``/index.html``.

    ``spa`` says that paths without a file are for the page's own router.
    """

    created_at: datetime
    files: Mapping[str, FileEntry]
    spa: bool

    has_not_found_page: bool
    """There is a ``404.html`` in some directory: counted once, since every miss asks."""

    forced_redirects: Redirects = NO_REDIRECTS
    redirects: Redirects = NO_REDIRECTS
    headers: HeaderRules = NO_HEADER_RULES

    @property
    def rule_count(self) -> int:
        return len(self.forced_redirects.rules) + len(self.redirects.rules) + len(self.headers.blocks)


class _ManifestJSON(BaseModel):
    """The builder's spelling. Keys that serving has no use for are not named, and so are ignored."""

    version: Literal[1]
    created_at: AwareDatetime = Field(alias="createdAt")
    files: dict[FilePath, FileEntry]
    spa: bool = False
    redirects: Annotated[list[Redirect], Field(max_length=MAX_REDIRECTS)] = []
    headers: Annotated[list[HeaderBlock], Field(max_length=MAX_BLOCKS)] = []


def parse_manifest(data: bytes) -> Manifest:
    """The manifest that ``data`` is the JSON of. Raises ``ManifestDamaged``."""
    try:
        wire = _ManifestJSON.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "document"
        raise ManifestDamaged(f"{where}: {first['msg']}") from error
    files = {path: entry for path, entry in wire.files.items() if path not in RULE_FILES}
    forced, redirects = split_forced(wire.redirects)
    return Manifest(
        created_at=wire.created_at,
        files=files,
        spa=wire.spa,
        has_not_found_page=any(path.endswith(f"/{NOT_FOUND_PAGE}") for path in files),
        forced_redirects=forced,
        redirects=redirects,
        headers=HeaderRules(tuple(wire.headers)),
    )
