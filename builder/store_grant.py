"""The artifact store in S3, for a builder that has a grant instead of keys.

It writes by the grant's one form and reads what the grant names. It can list nothing: that the live
deployment's blobs are there, its manifest says, and any other is uploaded again.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import IO

import aiohttp
from yarl import URL

from builder import keys
from builder.earlier import MAX_MANIFEST_BYTES
from builder.errors import NotStored, StoreError
from builder.grant import Grant
from builder.retries import until_it_passes
from builder.stored import Stored
from builder.together import together

CHUNK_BYTES = 1024**2
CONNECTIONS = 32
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30
"""Between two bytes of an answer."""

ATTEMPT_TIMEOUT_S = 120
"""Of one upload: the largest blob at 2 Mbit/s. An archive has the time for saving caches."""

Opened = Callable[[], IO[bytes]]
"""Opens what is to be uploaded, anew for each attempt."""

_ERROR_BYTES = 64 * 1024
_PASSING_CODES = frozenset({"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException"})


class GrantStore:
    """``manifest`` is the key of the live deployment's, if the project has one."""

    def __init__(self, grant: Grant, project_id: str, manifest: str | None) -> None:
        self._grant = grant
        self._blobs = keys.blobs(project_id)
        self._manifest = manifest
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "GrantStore":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def list_objects(self, prefix: str) -> list[Stored]:
        """Of blobs, those that the live deployment has; of anything else nothing."""
        if prefix != self._blobs or self._manifest is None or self._manifest not in self._grant.readable:
            return []
        content = bytearray()
        try:
            async for chunk in self.read(self._manifest):
                content += chunk
                if len(content) > MAX_MANIFEST_BYTES:
                    return []
            files = json.loads(content)["files"].values()
            entries = [entry for file in files for entry in (file, *file["encodings"].values())]
            return [Stored(entry["sha256"], entry["bytes"], None) for entry in entries]
        except (StoreError, ValueError, KeyError, TypeError, AttributeError):
            # A help only: without it everything is uploaded.
            return []

    async def read(self, key: str) -> AsyncGenerator[bytes]:
        if key not in self._grant.readable:
            raise NotStored(f"reading {key}: the grant does not name it")
        try:
            async with self._session().get(URL(self._grant.readable[key], encoded=True)) as answer:
                if answer.status >= 300:
                    raise await _refusal(answer, f"reading {key}")
                async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                    yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise StoreError(f"reading {key}: {_said(error)}") from error

    async def put(self, key: str, content: bytes, media: str) -> None:
        await self._post(key, media, lambda: BytesIO(content), timeout_s=ATTEMPT_TIMEOUT_S)

    async def add(self, blobs: Mapping[str, bytes]) -> None:
        await together(self.put(key, content, "application/octet-stream") for key, content in blobs.items())

    async def settle(self) -> None:
        """What S3 has taken it keeps."""

    async def put_file(self, key: str, path: Path) -> None:
        await self._post(key, "application/octet-stream", lambda: path.open("rb"), timeout_s=None)

    async def delete(self, key: str) -> None:
        raise StoreError(f"removing {key}: no grant lets a builder remove anything")

    async def _post(self, key: str, media: str, opened: Opened, *, timeout_s: float | None) -> None:
        try:
            await until_it_passes(lambda: self._post_once(key, media, opened, timeout_s), _may_pass)
        except (aiohttp.ClientError, OSError) as error:
            raise StoreError(f"writing {key}: {_said(error)}") from error

    async def _post_once(self, key: str, media: str, opened: Opened, timeout_s: float | None) -> None:
        with ExitStack() as stack:
            form = aiohttp.FormData({"key": key, "Content-Type": media, **self._grant.post_fields})
            # The last one: S3 reads no field after the content.
            form.add_field("file", stack.enter_context(opened()), filename="file", content_type=media)
            async with asyncio.timeout(timeout_s):
                url = URL(self._grant.post_url, encoded=True)
                async with self._session().post(url, data=form, allow_redirects=False) as answer:
                    if answer.status >= 300:
                        raise await _refusal(answer, f"writing {key}")

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=True,
            )
        return self._http


class Refused(StoreError):
    """S3 said no. Its message shows neither the grant's address nor a field."""

    def __init__(self, sentence: str, *, passing: bool) -> None:
        super().__init__(sentence)
        self.passing = passing


async def _refusal(answer: aiohttp.ClientResponse, doing: str) -> StoreError:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > _ERROR_BYTES:
            break
    found = re.search(rb"<Code>([^<]{1,300})</", body)
    code = found[1].decode(errors="replace") if found else str(answer.status)
    if code in ("NoSuchKey", "404"):
        return NotStored(f"{doing}: {code}")
    passing = answer.status == 429 or answer.status >= 500 or code in _PASSING_CODES
    return Refused(f"{doing}: {code}", passing=passing)


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, Refused):
        return error.passing
    return isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | TimeoutError)


def _said(error: Exception) -> str:
    """Without the address: it is as good as a key."""
    return (
        type(error).__name__ if isinstance(error, aiohttp.ClientError) else str(error) or "it took too long"
    )
