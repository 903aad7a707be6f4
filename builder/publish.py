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

UPLOADS = 16
"""At once: enough to hide a store's latency, and as many as its connections."""

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

    async def work(queue: Iterator[Found], pool: ThreadPoolExecutor) -> None:
        for file in queue:
            async with budget.hold(file.bytes):
                encoded = await loop.run_in_executor(
                    pool, encode, output, file, contract.limits.file_bytes, earlier.forms
                )
                entries[encoded.path] = encoded.to_json()
                new = {blob.sha256: blob.content for blob in _blobs(encoded) if blob.sha256 not in claimed}
                claimed.update(new)
                await store.add({prefix + sha256: content for sha256, content in new.items()})
                uploaded.extend(len(content) for content in new.values())

    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="encode")
    queue = iter(found)
    workers = [asyncio.create_task(work(queue, pool)) for _ in range(min(UPLOADS, len(found)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.wait(workers)
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
    key = keys.manifest(contract.project_id, contract.deployment_id)
    await store.put(key, content, "application/json")


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
