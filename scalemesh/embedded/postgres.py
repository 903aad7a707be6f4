"""PostgreSQL under the data directory, on a Unix socket."""

import asyncio
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGINT
from urllib.parse import quote, urlencode

import asyncpg

from scalemesh.embedded.binaries import postgres_major_version, postgres_programs
from scalemesh.embedded.data_dir import socket_dir
from scalemesh.embedded.errors import DataDirUnusable, ServerDidNotStart
from scalemesh.embedded.kept import KeptServer, keep_running, server_environment

_DATABASE = "scalemesh"
_PORT = 5432  # names the socket file; nothing listens on a port
_NOBODY = 65534

_SETTINGS = {
    "listen_addresses": "",
    "port": str(_PORT),
    "unix_socket_permissions": "0700",
    # Small: one machine, one application, and a builder beside it that wants the memory.
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "jit": "off",
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    # The log is for the person who runs this: no checkpoints, and no statements with users' data.
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


@asynccontextmanager
async def embedded_postgres(data_dir: Path) -> AsyncIterator[str]:
    """Runs PostgreSQL in ``data_dir/postgres`` and yields the URL of its ``scalemesh`` database.

    ``data_dir`` is held by the caller (`hold_data_dir`). Anybody who can reach the socket is its
    superuser, so the socket's directory lets in this user alone. Raises ServerNotInstalled,
    ServerDidNotStart and DataDirUnusable.
    """
    programs = postgres_programs()
    cluster = data_dir / "postgres"
    run_as = _run_as()
    if not cluster.exists():
        await _create_cluster(programs, cluster, run_as)
    _check_cluster(cluster)
    sockets = socket_dir(data_dir)
    server = KeptServer(
        name="PostgreSQL",
        run_as=(*run_as, "--pdeathsig", "INT", "--") if run_as else (),
        command=_server_command(programs, cluster, sockets),
        directory=cluster,
        pid_file=cluster / "postmaster.pid",
        log=data_dir / "postgres.log",
        stop_signal=SIGINT,  # "fast": ends sessions and writes a checkpoint; SIGTERM would wait for them
    )
    async with keep_running(server, lambda: _is_ready(sockets)):
        yield _url(sockets, _DATABASE)


def _run_as() -> tuple[str, ...]:
    """The start of a command that PostgreSQL accepts from root; empty for everybody else.

    PostgreSQL refuses to run as root. It runs as ``nobody``, which exists everywhere, and keeps one
    power of root: to pass through directories such as a private ``/root`` on the way to its program and
    its data. So no user is made and no directory above the data directory is opened for others.
    """
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        reason = "it refuses to run as root, and there is no `setpriv` here to change the user"
        raise ServerDidNotStart("PostgreSQL", f"{reason}. Start as another user, or set DATABASE_URL", "")
    user = ("--reuid", str(_NOBODY), "--regid", str(_NOBODY), "--clear-groups")
    return (setpriv, *user, "--inh-caps=+dac_override", "--ambient-caps=+dac_override")


async def _create_cluster(programs: Path, cluster: Path, run_as: tuple[str, ...]) -> None:
    """Under another name until it is whole: an ``initdb`` that is killed leaves no half of a cluster."""
    unfinished = cluster.with_suffix(".new")
    if unfinished.exists():
        await asyncio.to_thread(shutil.rmtree, unfinished)
    unfinished.mkdir(mode=0o700)
    if run_as:
        os.chown(unfinished, _NOBODY, _NOBODY)
        run_as = (*run_as, "--")
    initdb = await asyncio.create_subprocess_exec(
        *run_as,
        str(programs / "initdb"),
        "--pgdata",
        str(unfinished),
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        # The same order and case rules on every machine, whatever locales it has.
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        env=server_environment(),
    )
    try:
        output, _ = await initdb.communicate()
    except asyncio.CancelledError:
        initdb.kill()
        await initdb.wait()
        raise
    if initdb.returncode != 0:
        reason = f"initdb ended with status {initdb.returncode}"
        raise ServerDidNotStart("PostgreSQL", reason, output.decode(errors="replace").strip())
    unfinished.rename(cluster)


def _check_cluster(cluster: Path) -> None:
    version = (cluster / "PG_VERSION").read_text().strip()
    installed = postgres_major_version()
    if version != installed:
        raise DataDirUnusable(cluster, f"PostgreSQL {version} wrote it and {installed} can't read it")
    owner = cluster.stat().st_uid
    if owner != (os.geteuid() or _NOBODY):
        raise DataDirUnusable(cluster, f"it belongs to the user with the id {owner}")


def _server_command(programs: Path, cluster: Path, sockets: Path) -> tuple[str, ...]:
    settings = {**_SETTINGS, "unix_socket_directories": _quoted(sockets)}
    options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
    return (str(programs / "postgres"), "-D", str(cluster), *options)


def _quoted(directory: Path) -> str:
    """One element of a list of directories; quotes keep a comma or a space in it."""
    return '"' + str(directory).replace('"', '""') + '"'


def _url(sockets: Path, database: str) -> str:
    where = urlencode({"host": str(sockets), "port": _PORT}, quote_via=quote)
    return f"postgresql://postgres@/{database}?{where}"


async def _is_ready(sockets: Path) -> bool:
    """Whether the server takes connections. Its first answer also gets the database made."""
    try:
        connection = await asyncpg.connect(_url(sockets, _DATABASE))
    except asyncpg.InvalidCatalogNameError:
        connection = await asyncpg.connect(_url(sockets, "postgres"))
        await connection.execute(f"CREATE DATABASE {_DATABASE}")
    except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
        return False  # no socket yet, or "the database system is starting up"
    await connection.close()
    return True
