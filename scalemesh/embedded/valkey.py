"""Valkey under the data directory, on a Unix socket."""

import hashlib
import secrets
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

    The URL has a password, since a build's container is given the socket, and a user of its own
    (``LogWriters``). The password and such users stay the same over restarts.

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
    password = _kept_password(directory / "password")
    users = directory / "users.acl"
    _let_in(users, password)
    server = KeptServer(
        name="Valkey",
        run_as=(),
        command=_server_command(program, directory, socket, users),
        directory=directory,
        pid_file=directory / "valkey.pid",
        log=data_dir / "valkey.log",
        stop_signal=SIGTERM,
    )
    url = f"unix://default:{password}@{quote(str(socket))}"
    async with Redis.from_url(url) as client, keep_running(server, lambda: _is_ready(client)):
        yield url


def _kept_password(path: Path) -> str:
    """Made once, readable for this user alone."""
    if not path.exists():
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(32))
        new.replace(path)
    return path.read_text()


def _let_in(users: Path, password: str) -> None:
    """Gives the default user this ``password``, and leaves the others as they are."""
    lines = users.read_text().splitlines() if users.exists() else []
    others = [line for line in lines if not line.startswith("user default ")]
    digest = hashlib.sha256(password.encode()).hexdigest()
    new = users.with_suffix(".new")
    new.write_text("\n".join([f"user default on #{digest} ~* &* +@all", *others, ""]))
    new.replace(users)


def _server_command(program: Path, directory: Path, socket: Path, users: Path) -> tuple[str, ...]:
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(directory),
        "pidfile": str(directory / "valkey.pid"),
        "aclfile": str(users),
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
