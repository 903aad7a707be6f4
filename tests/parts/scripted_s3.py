"""An HTTP server that answers as it is told: for the bad days of S3 that a healthy server does not have."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.parts.ports import unused_port

ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>Said the test</Message></Error>'
MAX_BODY_BYTES = 16 * 1024**2
DROP = "drop"
"""In place of an answer: the connection is closed."""


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedS3:
    """``asked`` is what came, in order. When the script is at its end, everything succeeds."""

    endpoint_url: str
    script: Iterator[tuple[int, str] | str]
    asked: list[Asked] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append(Asked(request.method, request.raw_path, headers, await request.read()))
        told = next(self.script, None)
        if told is None:
            return web.Response(text="content")
        if isinstance(told, str):
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        status, code = told
        return web.Response(status=status, text=ERROR.format(code) if code else "<html>")


@asynccontextmanager
async def scripted_s3(script: Iterable[tuple[int, str] | str] = ()) -> AsyncIterator[ScriptedS3]:
    """``script`` holds, for each request, a status and S3's error code, or ``DROP``."""
    port = unused_port()
    server = ScriptedS3(f"http://127.0.0.1:{port}", iter(script))
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield server
    finally:
        await runner.cleanup()
