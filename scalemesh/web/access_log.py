"""ACCESS_LOG: a line of JSON for each request, or for one in a hundred.

No query, no cookie and no referrer: those carry what is secret.
"""

import json
import logging
import os
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from aiohttp import web

from scalemesh.web.answers import REQUEST_ID, usable_request_id
from scalemesh.web.sessions import forwarded_address

logger = logging.getLogger("scalemesh.access")

SAMPLED = 0.01

_MAX_TEXT = 500
"""Of what the client chose, in characters: a line stays below what a pipe takes at once."""


class AccessLog:
    """Writes ``share`` of the requests, drawn at random. ``trusted_proxies`` are TRUSTED_PROXIES."""

    def __init__(self, share: float, trusted_proxies: Sequence[str]) -> None:
        self._share = share
        self._trusted_proxies = trusted_proxies

    def note(self, request: web.BaseRequest, response: web.StreamResponse, took_s: float) -> None:
        if self._is_drawn():
            request_id = request.get(REQUEST_ID)
            self._write(
                self._address(request.remote or "", request.headers.getall("X-Forwarded-For", ())),
                (request.method, request.raw_path),
                request.headers,
                (response.status, response.body_length),
                request_id=request_id,
                took_s=took_s,
            )

    def note_hot(self, peer: str, head: bytes, answer: bytes, size_bytes: int, took_s: float = 0.0) -> None:
        """``head`` asked, and ``answer``, a head too, and a body of in all ``size_bytes`` were sent."""
        if self._is_drawn():
            first, *lines = head.decode("ascii").rstrip("\r\n").split("\r\n")
            method, target, _ = first.split(" ")
            parts = (line.partition(":") for line in lines)
            headers = {name.title(): value.strip(" \t") for name, _, value in parts}
            address = self._address(peer, [headers.get("X-Forwarded-For", "")])
            self._write(address, (method, target), headers, (int(answer[9:12]), size_bytes), took_s=took_s)

    def _address(self, peer: str, forwarded_for: Sequence[str]) -> str:
        return forwarded_address(peer, forwarded_for, self._trusted_proxies)

    def _is_drawn(self) -> bool:
        return self._share >= 1 or random.random() < self._share  # noqa: S311

    def _write(
        self,
        address: str,
        asked: tuple[str, str],
        headers: Mapping[str, str],
        answered: tuple[int, int],
        *,
        request_id: str | None = None,
        took_s: float = 0.0,
    ) -> None:
        method, target = asked
        status, size_bytes = answered
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "pid": os.getpid(),
            "requestID": request_id or usable_request_id(headers.get("X-Request-Id", "")),
            "address": address,
            "method": method,
            "host": headers.get("Host", "")[:_MAX_TEXT],
            "path": target.partition("?")[0][:_MAX_TEXT],
            "status": status,
            "bytes": size_bytes,
            "seconds": round(took_s, 6),
            "userAgent": headers.get("User-Agent", "")[:_MAX_TEXT],
        }
        logger.info("%s", json.dumps(line))
