"""What the store has of the project already: its blobs, and which compressed forms a content has."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builder import keys
from builder.contract import Contract
from builder.errors import StoreError
from builder.store import Store

MAX_MANIFEST_BYTES = 32 * 1024**2
"""Of 20,000 files, as the builder writes it, some 10 MiB."""

Entry = Mapping[str, Any]
"""A file of a manifest, or one of its forms: ``sha256``, ``bytes`` and so on."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """``blobs`` are names of stored blobs; ``forms`` maps a content's sha256 to its compressed forms."""

    blobs: frozenset[str]
    forms: Mapping[str, Mapping[str, Entry]]


async def read_earlier(contract: Contract, store: Store) -> Earlier:
    """Raises ``StoreError`` where the blobs can't be listed. A manifest is a help, and may be missing."""
    stored = await store.list_objects(keys.blobs(contract.project_id))
    blobs = frozenset(blob.name for blob in stored)
    if contract.previous_manifest is None or contract.no_cache:
        return Earlier(blobs, {})
    return Earlier(blobs, await _read_forms(contract.previous_manifest, store, blobs))


async def _read_forms(manifest: str, store: Store, blobs: frozenset[str]) -> dict[str, Mapping[str, Entry]]:
    content = bytearray()
    try:
        async for chunk in store.read(manifest):
            content += chunk
            if len(content) > MAX_MANIFEST_BYTES:
                return {}
        files = json.loads(content)["files"].values()
        # A file without forms may have been one of another name, whose type is not compressed.
        return {
            file["sha256"]: file["encodings"]
            for file in files
            if file["encodings"] and all(form["sha256"] in blobs for form in file["encodings"].values())
        }
    except (StoreError, ValueError, KeyError, TypeError, AttributeError):
        return {}
