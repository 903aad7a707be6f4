"""A connection that answers by itself what is prepared or decided, and leaves everything else to aiohttp.

Every name of aiohttp's own that is used here is in ``PRIVATE``, and a test holds it to that.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from scalemesh.sites.first import FirstAnswers
from scalemesh.sites.heads import END, read_head
from scalemesh.sites.hot import JOINED_BYTES, HotAnswers, Ready
from scalemesh.sites.respond import First

log = logging.getLogger(__name__)

PRIVATE = {
    RequestHandler: (
        "_buffer_paused",
        "_close",
        "_drain_helper",
        "_force_close",
        "_handle_request",
        "_handler_waiter",
        "_keepalive_timeout",
        "_loop",
        "_next_keepalive_close_time",
        "_pause_transport_reading",
        "_paused",
        "_process_keepalive",
        "_reading_paused",
        "_request_count",
        "_request_in_progress",
        "_resume_transport_reading",
        "_upgraded",
        "_waiter",
    ),
    web.AppRunner: ("_make_server",),
    web.Server: ("_kwargs", "_loop"),
}

BATCH_BYTES = 64 * 1024
"""Of answers to a pipeline, written at once: where the transport begins to say whether it takes more."""

MAX_HELD_BYTES = 64 * 1024
"""Of what a client sends behind a request whose answer is being made; it reads no more from him then. Up to
here it reads on, as aiohttp does, and so sees him leave."""

STALL_TIMEOUT_S = 60.0
"""A client that takes not one byte for so long is gone."""


class Answers(Protocol):
    def find(self, head: bytes, now: float) -> tuple[bytes, ...] | None:
        """As ``HotAnswers`` does."""


class HotHandler(RequestHandler):
    """aiohttp's connection, but for this: a prepared answer is written as its request arrives, and one that
    is decided when its body is there.

    Only between requests: aiohttp is idle, its parser holds no part of a head, and what was answered is
    written in order. While the client takes no answers nothing more is read from it, and little while it
    waits for one that is decided.
    """

    __slots__ = ("_answered", "_between", "_first", "_held", "_hot", "_making", "_plain", "_ready", "_stall")

    def __init__(self, manager: web.Server, hot: HotAnswers, first: FirstAnswers, **options: Any) -> None:
        super().__init__(manager, **options)
        self._hot: Answers = hot
        self._first = first
        # A first answer is under way, of which aiohttp knows only that there is a request in progress.
        self._making = False
        self._ready: Mapping[bytes, Ready] = hot.ready
        # Read by read: aiohttp drops what it reads together with something broken.
        self._held: list[bytes] = []
        self._stall: asyncio.TimerHandle | None = None
        # Of the requests that aiohttp was given, how many it has answered.
        self._answered = 0
        # What it was given last ended as a head does, and no first answer is under way.
        self._between = True
        # What it was given since it was idle were heads without bodies, whole, one at a time.
        self._plain = True

    def data_received(self, data: bytes) -> None:
        # Most of what is received. In line, for a call costs as much as all that is asked here.
        waiter = self._waiter
        if waiter is not None and self._between and (ready := self._ready.get(data)) is not None:
            now = self._loop.time()
            if ready.until > now < ready.lead.until and not (
                self._paused
                or self._close
                or self._force_close
                or self._upgraded
                or self._buffer_paused
                or self._reading_paused
                or waiter.done()
            ):
                ready.uses += 1
                self.transport.write(ready.data)  # type: ignore[union-attr]
                self._next_keepalive_close_time = now + self._keepalive_timeout
                return
        if not data:
            # aiohttp's way of going on with what its parser holds.
            super().data_received(data)
            return
        if self._making:
            self._hold(data)
            return
        ours = self._is_ours()
        if ours:
            data = self._hold(data) if self._paused else self._answer(data)
            if not data:
                return
        self._plain = (ours or self._plain) and read_head(data) is not None
        self._between = data.endswith(END)
        super().data_received(data)

    def _is_ours(self) -> bool:
        """True if what comes now begins a request and aiohttp has nothing left to write before its answer."""
        if (
            not self._between
            or self._close
            or self._force_close
            or self._upgraded
            or self._buffer_paused
            or self._reading_paused
        ):
            return False
        # Idle, aiohttp has read the body of the last request to its end. So what is left in its parser is
        # the beginning of a head or nothing, and ``_between`` says which.
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            return True
        # It takes a few turns of the loop from the last byte of an answer to there, and a client may be
        # quicker. Where there was no body, nothing can happen in these turns.
        return self._plain and self._answered == self._request_count

    async def _handle_request(self, *arguments: Any) -> tuple[web.StreamResponse, bool]:
        try:
            return await super()._handle_request(*arguments)
        finally:
            self._answered += 1

    def _answer(self, data: bytes) -> bytes:
        """Answer the heads that ``data`` begins with, as far as they are hot, and begin the first answer
        to the next. Returns what is aiohttp's."""
        now = self._loop.time()
        found = self._hot.find(data, now)
        if found is not None:
            # Nearly always a read is one request.
            self._write(found, sum(map(len, found)))
            self._next_keepalive_close_time = now + self._keepalive_timeout
            return b""
        start = size = 0
        out: list[bytes] = []
        while start < len(data):
            end = data.find(END, start) + len(END)
            if end < len(END):
                break
            head = data[start:end]
            found = None if len(head) == len(data) else self._hot.find(head, now)
            if found is None:
                if out:
                    self._write(out, size)
                    out = []
                if not self._paused and self._begin(head):
                    return self._hold(data[end:]) if end < len(data) else b""
                break
            out += found
            start = end
            size += sum(map(len, found))
            if size >= BATCH_BYTES:
                self._write(out, size)
                out, size = [], 0
                if self._paused:
                    break
        if start == 0:
            return data
        if out:
            self._write(out, size)
        self._next_keepalive_close_time = now + self._keepalive_timeout
        rest = data[start:]
        return self._hold(rest) if rest and self._paused else rest

    def _begin(self, head: bytes) -> bool:
        """True if the first answer to ``head`` is under way. What follows is held until it is written."""
        first = self._first.find(head)
        if first is None:
            return False
        self._making = True
        self._between = False
        # A shutdown waits for it.
        self._request_in_progress = True
        self._first.run(self._make(head, first, self._loop.time()))
        return True

    async def _make(self, head: bytes, first: First, began: float) -> None:
        peer = self.peername
        try:
            answer, body = await self._first.make(first)
            sent = 0
            if self.transport is not None and not self.transport.is_closing():
                self._write((answer, body), len(answer) + len(body))
                try:
                    await self._drain_helper()
                    sent = len(answer) + len(body)
                except ConnectionError:
                    log.debug("a client left before the end of %s", first.key[1])
            self._first.note(peer, head, answer, sent, self._loop.time() - began)
        except Exception:
            log.exception("no answer for %s", first.key[1])
            self._close = True
        finally:
            self._made()

    def _made(self) -> None:
        self._making = False
        self._between = True
        self._request_in_progress = False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)
        if self.transport is None:
            return
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._close or self._force_close:
            self.transport.close()
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Take up what was held."""
        if self._held:
            held, self._held = self._held, []
            self._resume_transport_reading()
            for data in held:
                self.data_received(data)

    def _process_keepalive(self) -> None:
        if self._making:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    def _write(self, out: Sequence[bytes], size: int) -> None:
        assert self.transport is not None
        if len(out) == 1:
            self.transport.write(out[0])
        elif size <= JOINED_BYTES:
            self.transport.write(b"".join(out))
        else:
            self.transport.writelines(out)

    def _hold(self, data: bytes) -> bytes:
        """Keep ``data`` until what is before it is written and taken. Returns that nothing is aiohttp's."""
        self._held.append(data)
        if self._paused or sum(map(len, self._held)) > MAX_HELD_BYTES:
            self._pause_transport_reading()
        return b""

    def pause_writing(self) -> None:
        super().pause_writing()
        transport = cast(asyncio.Transport, self.transport)
        self._watch_progress(transport, transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._end_stall()
        if self._held and not self._making and self.transport is not None:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
            self._go_on()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._end_stall()
        self._held = []
        super().connection_lost(exc)

    def _watch_progress(self, transport: asyncio.Transport, unsent: int) -> None:
        self._stall = self._loop.call_later(STALL_TIMEOUT_S, self._look_for_progress, transport, unsent)

    def _look_for_progress(self, transport: asyncio.Transport, before: int) -> None:
        # Not self.transport: a connection that aiohttp has closed still has its last bytes to send.
        unsent = transport.get_write_buffer_size()
        if unsent < before:
            self._watch_progress(transport, unsent)
        else:
            transport.abort()

    def _end_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None


class HotServer(web.Server):
    """``server`` as it is, with prepared and first answers in front of it."""

    def __init__(
        self,
        server: web.Server,
        hot: HotAnswers,
        first: FirstAnswers,
        handler: type[HotHandler],
        front: Callable[[Any], Any],
    ) -> None:
        super().__init__(
            front(server.request_handler),
            request_factory=server.request_factory,
            handler_cancellation=server.handler_cancellation,
            loop=server._loop,
            **server._kwargs,
        )
        self._hot = hot
        self._first = first
        self.handler = handler

    def __call__(self) -> RequestHandler:
        return self.handler(self, self._hot, self._first, loop=self._loop, **self._kwargs)

    async def shutdown(self, timeout: float | None = None) -> None:
        await super().shutdown(timeout)
        await self._first.aclose()


class HotRunner(web.AppRunner):
    """``web.AppRunner`` whose connections are ``handler``'s. ``front`` makes of the application's handler of
    requests one that sees them first."""

    def __init__(
        self,
        app: web.Application,
        hot: HotAnswers,
        first: FirstAnswers,
        *,
        handler: type[HotHandler] = HotHandler,
        front: Callable[[Any], Any] = lambda inside: inside,
        **options: Any,
    ) -> None:
        super().__init__(app, **options)
        self._hot = hot
        self._first = first
        self.front = front
        self.handler = handler

    async def _make_server(self) -> web.Server:
        return HotServer(await super()._make_server(), self._hot, self._first, self.handler, self.front)
