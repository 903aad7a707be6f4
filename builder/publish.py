"""Puts a site into the store: the blobs it does not have, then the manifest, which makes it whole."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from builder import keys
from builder.collect import Found
from builder.contract import Contract
from builder.earlier import Earlier
from builder.encode import Blob, Encoded, encode
from builder.presets import Preset
from builder.site_rules import SiteRules
from builder.store import Store
from builder.together import together

BATCH_FILES = 32
BATCH_BYTES = 512 * 1024
"""Small files go through threads and store some at a time: one at a time, the ways there take longer than
the work."""

BATCHES = 4
"""At once: each of two processors has one to compress while others are uploaded."""

IN_FLIGHT_BYTES = 96 * 1024 * 1024
"""Of files that are read and not yet uploaded; with their compressed forms up to twice that."""

NOT_FOUND_PAGE = "/404.html"


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The manifest's entries by path, in order, and what the upload did."""

    files: dict[str, dict[str, object]]
    bytes: int
    new_blobs: int
    new_bytes: int


async def upload(
    contract: Contract, store: Store, output: Path, found: list[Found], earlier: Earlier
) -> Uploaded:
    """Uploads each blob of the site that the store does not have, once.

    Raises ``BuildError`` (``artifact_rejected``) and ``StoreError``.
    """
    claimed = set(earlier.blobs)
    prefix = keys.blobs(contract.project_id)
    budget = _ByteBudget(IN_FLIGHT_BYTES)
    entries: dict[str, dict[str, object]] = {}
    uploaded: list[int] = []
    loop = asyncio.get_running_loop()

    def encode_all(batch: list[Found]) -> list[Encoded]:
        return [encode(output, file, contract.limits.file_bytes, earlier.forms) for file in batch]

    async def work(queue: Iterator[list[Found]], pool: ThreadPoolExecutor) -> None:
        for batch in queue:
            async with budget.hold(sum(file.bytes for file in batch)):
                encoded = await loop.run_in_executor(pool, encode_all, batch)
                entries.update((file.path, file.to_json()) for file in encoded)
                new = {
                    blob.sha256: blob.content
                    for file in encoded
                    for blob in _blobs(file)
                    if blob.sha256 not in claimed
                }
                claimed.update(new)
                await store.add({prefix + sha256: content for sha256, content in new.items()})
                uploaded.extend(len(content) for content in new.values())

    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="encode")
    queue = batches(found)
    try:
        await together(work(queue, pool) for _ in range(BATCHES))
    finally:
        # A large file is seconds of work; after a cancel nobody waits for it.
        pool.shutdown(wait=False, cancel_futures=True)
    await store.settle()
    return Uploaded(
        files={file.path: entries[file.path] for file in found},
        bytes=sum(file.bytes for file in found),
        new_blobs=len(uploaded),
        new_bytes=sum(uploaded),
    )


async def put_manifest(
    contract: Contract,
    store: Store,
    files: dict[str, dict[str, object]],
    rules: SiteRules,
    *,
    commit: str,
    preset: Preset,
) -> None:
    """Makes the deployment whole. Raises ``StoreError``."""
    has_not_found = NOT_FOUND_PAGE in files
    manifest = {
        "version": 1,
        "projectID": contract.project_id,
        "deploymentID": contract.deployment_id,
        "commit": commit,
        "framework": preset.name,
        "createdAt": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "files": files,
        "redirects": [rule.to_json() for rule in rules.redirects],
        "headers": [block.to_json() for block in rules.headers],
        "notFound": NOT_FOUND_PAGE if has_not_found else None,
        "spa": preset.spa and not has_not_found,
    }
    content = json.dumps(manifest, ensure_ascii=False, separators=(",", ":")).encode()
    key = keys.manifest(contract.project_id, contract.deployment_id, contract.attempt)
    await store.put(key, content, "application/json")


def batches(found: list[Found]) -> Iterator[list[Found]]:
    """The files in their order; a large one is alone."""
    batch: list[Found] = []
    size = 0
    for file in found:
        if batch and (len(batch) == BATCH_FILES or size + file.bytes > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.bytes
    if batch:
        yield batch


def _blobs(encoded: Encoded) -> list[Blob]:
    return [encoded.blob, *encoded.forms.values()]


class _ByteBudget:
    """Lets files in while they fit together; one that is larger than all of it goes alone."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._held_bytes == 0 or self._held_bytes + size <= self._limit_bytes
            )
            self._held_bytes += size
        try:
            yield
        finally:
            async with self._changed:
                self._held_bytes -= size
                self._changed.notify_all()
