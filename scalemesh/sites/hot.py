"""Answers made ready: what a plan said once, for everybody who asks the same thing of the same deployment."""

import time
from email.utils import formatdate
from http import HTTPStatus

from scalemesh.sites.blobs import BlobCache, BlobID
from scalemesh.sites.counters import Counters
from scalemesh.sites.generations import Generations
from scalemesh.sites.heads import HeadKey, read_head
from scalemesh.sites.plan import Plan
from scalemesh.sites.routes import Lead

MAX_ANSWERS_BYTES = 16 * 1024 * 1024
"""Of keys and heads; bodies stay in the blob cache. About 15,000 pages as browsers ask for them."""

MAX_HEADS_BYTES = 8 * 1024 * 1024
"""Of requests' heads seen before, and so not read again. Programs and proxies repeat theirs word for word."""

MAX_REPEATED_BYTES = 1024
"""A longer head is a browser's own, and is read each time."""

_ENTRY_BYTES = 400
"""Of dict slots and objects around an entry's strings; measured."""

PREPARED = (200, 304)


class Prepared:
    """An answer but for its date, which comes last in its head, and its body."""

    __slots__ = ("blob", "head", "lead", "not_modified")

    def __init__(self, status: int, head: bytes, blob: BlobID | None, lead: Lead) -> None:
        self.not_modified = int(status == 304)
        self.head = head
        self.blob = blob
        self.lead = lead


class HotAnswers:
    """Answers by request head. One is good for as long as its lead is believed and its blob in memory:

    whatever ends that makes the next such request an ordinary one, which renews the answer.
    """

    def __init__(self, blobs: BlobCache, counters: Counters) -> None:
        self._blobs = blobs
        self._counters = counters
        self._keys: Generations[bytes, HeadKey] = Generations(MAX_HEADS_BYTES, _head_bytes)
        self._answers: Generations[HeadKey, Prepared] = Generations(MAX_ANSWERS_BYTES, _answer_bytes)
        self._date = b""
        self._date_until = 0.0

    def prepare(self, key: HeadKey, plan: Plan, blob: BlobID | None, lead: Lead) -> None:
        """``plan`` answers ``key`` while ``lead`` holds. ``blob`` is all of its body; None for no body."""
        if plan.status in PREPARED:
            lines = [f"HTTP/1.1 {plan.status} {HTTPStatus(plan.status).phrase}"]
            lines += [f"{name}: {value}" for name, value in plan.headers.items()]
            self._answers.put(
                key, Prepared(plan.status, "\r\n".join([*lines, "Date: "]).encode(), blob, lead)
            )

    def find(self, head: bytes, now: float) -> tuple[bytes, bytes] | None:
        """The head and body that answer ``head`` at ``now``, on the loop's clock; None if aiohttp is to."""
        key = self._keys[head]
        if key is None:
            read = read_head(head)
            if read is None:
                return None
            key, may_repeat = read
            if may_repeat and len(head) <= MAX_REPEATED_BYTES:
                self._keys.put(head, key)
        answer = self._answers[key]
        if answer is None or answer.lead.until <= now:
            return None
        body = b"" if answer.blob is None else self._blobs.peek(answer.blob)
        if body is None:
            return None
        if now >= self._date_until:
            self._renew_date(now)
        head = answer.head + self._date
        self._counters.hot += 1
        self._counters.hot_not_modified += answer.not_modified
        self._counters.hot_bytes += len(head) + len(body)
        return head, body

    def _renew_date(self, now: float) -> None:
        moment = time.time()
        self._date = formatdate(moment, usegmt=True).encode() + b"\r\n\r\n"
        self._date_until = now + 1 - moment % 1


def _head_bytes(head: bytes, key: HeadKey) -> int:
    return _ENTRY_BYTES + len(head) + sum(map(len, key))


def _answer_bytes(key: HeadKey, answer: Prepared) -> int:
    return _ENTRY_BYTES + len(answer.head) + sum(map(len, key))
