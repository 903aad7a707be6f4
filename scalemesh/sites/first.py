"""First answers: nothing is prepared for a head, but memory knows the site, and what is missing is a blob.

They are decided by the same plan as aiohttp's requests are, and take a third of the time.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from scalemesh.sites.heads import read_head
from scalemesh.sites.hosts import Hostnames, SiteHost, parse_host
from scalemesh.sites.respond import First, Sites
from scalemesh.tasks import end_tasks

Note = Callable[[object, bytes, bytes, int, float], None]
"""The peer's name, as its transport has it; its head; the answer's head; how many bytes were sent in all, 0
where the client had left; and the seconds that it took."""


class FirstAnswers:
    """First answers of ``sites``, whose hosts are told by ``names``. ``note`` is told of each."""

    def __init__(self, sites: Sites, names: Hostnames, note: Note) -> None:
        self._sites = sites
        self._names = names
        self._tasks: set[asyncio.Task[None]] = set()
        self.note = note

    def find(self, head: bytes) -> First | None:
        """What answers ``head``; None if aiohttp is to."""
        read = read_head(head)
        if read is None:
            return None
        key, _ = read
        host = parse_host((key[2],), key[1], self._names)
        return self._sites.begin(key, host) if isinstance(host, SiteHost) else None

    async def make(self, first: First) -> tuple[bytes, bytes]:
        """Its head and its body. Takes as long as the store does, which is bounded there."""
        head, body = await self._sites.finish(first)
        return head + self._sites.hot.date(asyncio.get_running_loop().time()), body

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Of a connection that may be lost before the answer is there, which is then kept all the same."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """Ends what is still under way."""
        await end_tasks(*self._tasks)
