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

MAX_MISSING_BYTES = 1024 * 1024
"""Of the same for paths that have nothing. Anybody can make those up, and they push out one another only."""

MAX_HEADS_BYTES = 8 * 1024 * 1024
"""Of requests' heads seen before, and so not read again. Programs and proxies repeat theirs word for word."""

MAX_REPEATED_BYTES = 1024
"""A longer head is a browser's own, and is read each time."""

MAX_READY_BYTES = 4 * 1024 * 1024
"""Of whole answers, for a second: some thousand pages, and none of the pictures."""

JOINED_BYTES = 16 * 1024
"""Up to here copying a body behind its head costs less than handing over two pieces; above, a slow client's
share of the body is then the cache's own."""

_ENTRY_BYTES = 400
"""Of dict slots and objects around an entry's strings; measured."""

PREPARED = (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED, HTTPStatus.NOT_FOUND)


class Prepared:
    """An answer but for its date, which comes last in its head, and a body that is a blob."""

    __slots__ = ("body", "head", "lead", "status")

    def __init__(self, status: int, head: bytes, body: BlobID | bytes, lead: Lead) -> None:
        self.status = status
        self.head = head
        self.body = body
        self.lead = lead


class Ready:
    """All the bytes that answer a head until the loop's clock says ``until``, and as long as ``lead`` holds.

    Whoever sends them adds to ``uses``.
    """

    __slots__ = ("data", "lead", "status", "until", "uses")

    def __init__(self, answer: Prepared, data: bytes, until: float) -> None:
        self.data = data
        self.status = answer.status
        self.lead = answer.lead
        self.until = until
        self.uses = 0


class HotAnswers:
    """Answers by request head. One is good for as long as its lead is believed and its blob in memory:

    whatever ends that makes the next such request an ordinary one, which renews the answer. ``ready`` has,
    by their heads, the small ones that this second saw already; others may read it.
    """

    def __init__(self, blobs: BlobCache, counters: Counters) -> None:
        self.ready: dict[bytes, Ready] = {}
        self._ready_bytes = 0
        self._blobs = blobs
        self._counters = counters
        self._keys: Generations[bytes, HeadKey] = Generations(MAX_HEADS_BYTES, _head_bytes)
        self._answers: Generations[HeadKey, Prepared] = Generations(MAX_ANSWERS_BYTES, _answer_bytes)
        self._missing: Generations[HeadKey, Prepared] = Generations(MAX_MISSING_BYTES, _answer_bytes)
        self._date = b""
        self._date_until = 0.0

    def prepare(self, key: HeadKey, plan: Plan, body: BlobID | bytes, lead: Lead) -> bytes:
        """``plan`` answers ``key`` while ``lead`` holds. ``body`` is all of it.

        Returns ``write_head(plan)``.
        """
        head = write_head(plan)
        if plan.status in PREPARED:
            kept = self._missing if plan.status == HTTPStatus.NOT_FOUND else self._answers
            kept.put(key, Prepared(plan.status, head, body, lead))
        return head

    def date(self, now: float) -> bytes:
        """What ends a head at ``now``, on the loop's clock."""
        if now >= self._date_until:
            self._begin_second(now)
        return self._date

    def find(self, head: bytes, now: float) -> tuple[bytes, ...] | None:
        """What answers ``head`` at ``now``, on the loop's clock; None if aiohttp is to.

        A first piece that holds the answer's head, and where it is large another with its body.
        """
        key = self._keys[head]
        repeats = key is not None
        if key is None:
            read = read_head(head)
            if read is None:
                return None
            key, may_repeat = read
            repeats = may_repeat and len(head) <= MAX_REPEATED_BYTES
        answer = self._answers[key]
        if answer is None or answer.lead.until <= now:
            answer = self._missing[key]
            if answer is None or answer.lead.until <= now:
                return None
        body = answer.body if isinstance(answer.body, bytes) else self._blobs.peek(answer.body)
        if body is None:
            return None
        if now >= self._date_until:
            self._begin_second(now)
        first = answer.head + self._date
        size = len(first) + len(body)
        self._counters.count_hot(answer.status, 1, size)
        if repeats:
            self._keys.put(head, key)
        if size > JOINED_BYTES:
            return first, body
        data = first + body
        if repeats and (kept := self._ready_bytes + len(head) + size + _ENTRY_BYTES) <= MAX_READY_BYTES:
            self._ready_bytes = kept
            self.ready[head] = Ready(answer, data, self._date_until)
        return (data,)

    def settle(self) -> None:
        """Count what was sent of ``ready``."""
        for ready in self.ready.values():
            self._counters.count_hot(ready.status, ready.uses, ready.uses * len(ready.data))
            ready.uses = 0

    def _begin_second(self, now: float) -> None:
        self.settle()
        self.ready.clear()
        self._ready_bytes = 0
        moment = time.time()
        self._date = formatdate(moment, usegmt=True).encode() + b"\r\n\r\n"
        self._date_until = now + 1 - moment % 1


def write_head(plan: Plan) -> bytes:
    """The head of ``plan``'s answer but for its date, which comes last."""
    lines = [f"HTTP/1.1 {plan.status} {HTTPStatus(plan.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in plan.headers.items()]
    return "\r\n".join([*lines, "Date: "]).encode()


def _head_bytes(head: bytes, key: HeadKey) -> int:
    return _ENTRY_BYTES + len(head) + sum(map(len, key))


def _answer_bytes(key: HeadKey, answer: Prepared) -> int:
    return _ENTRY_BYTES + len(answer.head) + sum(map(len, key))
