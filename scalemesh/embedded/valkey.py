"""Valkey under the data directory, on a Unix socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGTERM
from urllib.parse import quote

from redis import exceptions
from redis.asyncio import Redis

from scalemesh.embedded.binaries import valkey_server
from scalemesh.embedded.data_dir import socket_dir
from scalemesh.embedded.kept import KeptServer, keep_running

_MEMORY_LIMIT = "256mb"
"""Build logs pass through here and are trimmed; full means an error for the writer, never silent loss."""


@asynccontextmanager
async def embedded_valkey(data_dir: Path) -> AsyncIterator[str]:
    """Runs Valkey in ``data_dir/valkey`` and yields its ``unix://`` URL.

    ``data_dir`` is held by the caller (`hold_data_dir`). What was written survives a restart; the last
    second of it may be lost when the machine loses power. Raises ServerNotInstalled, ServerDidNotStart
    and DataDirUnusable.
    """
    directory = data_dir / "valkey"
    program = valkey_server()
    directory.mkdir(mode=0o700, exist_ok=True)
    # In a directory of its own, which a build's container can be given without the other sockets.
    sockets = socket_dir(data_dir) / "valkey"
    sockets.mkdir(mode=0o700, exist_ok=True)
    socket = sockets / "valkey.sock"
    server = KeptServer(
        name="Valkey",
        run_as=(),
        command=_server_command(program, directory, socket),
        directory=directory,
        pid_file=directory / "valkey.pid",
        log=data_dir / "valkey.log",
        stop_signal=SIGTERM,
    )
    url = f"unix://{quote(str(socket))}"
    async with Redis.from_url(url) as client, keep_running(server, lambda: _is_ready(client)):
        yield url


def _server_command(program: Path, directory: Path, socket: Path) -> tuple[str, ...]:
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(directory),
        "pidfile": str(directory / "valkey.pid"),
        "daemonize": "no",
        # The append-only file is the record; snapshots beside it would write everything twice.
        "appendonly": "yes",
        "save": "",
        "maxmemory": _MEMORY_LIMIT,
        "maxmemory-policy": "noeviction",
    }
    return (str(program), *(part for name, value in settings.items() for part in (f"--{name}", value)))


async def _is_ready(client: Redis) -> bool:
    try:
        await client.ping()
    except (exceptions.ConnectionError, exceptions.BusyLoadingError):
        return False  # no socket yet, or still reading its file
    return True
