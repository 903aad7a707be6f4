"""Prepared answers that somebody is told of: for a log, at no cost to connections without one."""

import asyncio
from collections.abc import Callable

from scalemesh.sites.protocol import Answers, HotHandler

Tell = Callable[[str, bytes, bytes, int], None]
"""The client's address, its head, what answered it from its head on, and the size of the whole answer."""


class _ToldAnswers:
    def __init__(self, answers: Answers, tell: Tell, peer: str) -> None:
        self._answers = answers
        self._tell = tell
        self._peer = peer

    def find(self, head: bytes, now: float) -> tuple[bytes, ...] | None:
        found = self._answers.find(head, now)
        if found is not None:
            self._tell(self._peer, head, found[0], sum(map(len, found)))
        return found


def telling_handler(tell: Tell) -> type[HotHandler]:
    """The connection of ``HotRunner`` whose hot answers ``tell`` is told of."""

    class TellingHandler(HotHandler):
        __slots__ = ()

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            peer = transport.get_extra_info("peername")
            self._hot = _ToldAnswers(self._hot, tell, str(peer[0]) if peer else "")
            self._ready = {}

    return TellingHandler
