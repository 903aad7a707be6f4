"""What a live log is at its least, to compare with: ``python -m bench.relay PORT REDIS_URL CHANNEL``.

A subscription for each console, and what Redis says as it is: no numbers, no backlog, no bounds, no accounts.
"""

import sys
from contextlib import suppress

import uvloop
from aiohttp import web
from redis.asyncio import Redis


async def _relay(port: int, redis_url: str, channel: str) -> None:
    redis = Redis.from_url(redis_url, socket_timeout=None, max_connections=10_000)

    async def live(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        async with redis.pubsub() as pubsub:
            await pubsub.subscribe(channel)
            await socket.prepare(request)
            with suppress(ConnectionError):  # a console that has seen enough
                async for message in pubsub.listen():
                    if message["type"] == "message":
                        await socket.send_str(message["data"].decode())
        return socket

    app = web.Application()
    app.router.add_get("/", live)
    await web._run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    uvloop.run(_relay(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
