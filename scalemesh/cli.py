"""The command line: serve, migrate, demo."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import asyncpg
import uvloop
from aiohttp.http_exceptions import HttpProcessingError

from scalemesh.app import CannotListen, listen, running_server
from scalemesh.db.migrate import migrate
from scalemesh.demo import DemoFailed, run_demo
from scalemesh.errors import ScaleMeshError
from scalemesh.settings import Settings, SettingsError, load_settings
from scalemesh.siblings import COMMAND, First, keep_siblings, meet_first


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 1 with a sentence on standard error."""
    parser = argparse.ArgumentParser(prog="scalemesh.py", description="Deploys web apps from a git URL.")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("serve", help="run the server (the default)")
    commands.add_parser("migrate", help="bring the database of DATABASE_URL up to date")
    commands.add_parser("demo", help="deploy an example app and fetch its page")
    commands.add_parser(COMMAND)
    command = parser.parse_args(arguments).command or "serve"
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("aiohttp.server").addFilter(_is_ours)
    try:
        settings = load_settings()
        if settings.access_log != "off":
            _write_to_stdout(logging.getLogger("scalemesh.access"))
        if command == "migrate":
            return uvloop.run(_migrate(settings))
        if command == "demo":
            uvloop.run(run_demo(settings))
        elif command == COMMAND:
            uvloop.run(_serve_beside_first(settings))
        else:
            uvloop.run(_serve(settings))
    except KeyboardInterrupt:
        return 0
    except SettingsError as error:
        return _fail(f"The settings can't be used:\n{error}")
    except (CannotListen, ScaleMeshError, DemoFailed) as error:
        return _fail(str(error))
    except (OSError, asyncpg.PostgresError) as error:
        return _fail(f"The database of DATABASE_URL can't be used: {error}")
    return 0


async def _serve(settings: Settings) -> None:
    others = settings.web_concurrency - 1
    with _stoppable(), listen(settings.host, settings.port, opens=others > 0) as listener:
        async with (
            running_server(settings, listener) as servers,
            keep_siblings(others, First(servers, listener.getsockname()[1])),
        ):
            print(f"Scale Mesh is at {settings.public_url}", flush=True)  # noqa: T201
            await asyncio.Event().wait()


async def _serve_beside_first(settings: Settings) -> None:
    with _stoppable() as stop:
        first = await meet_first(stop)
        if first is None:
            return
        with listen(settings.host, first.port, joins=True) as listener:
            async with running_server(settings, listener, servers=first.servers):
                await asyncio.Event().wait()


@contextmanager
def _stoppable() -> Iterator[Callable[[], None]]:
    """Ends the block where what it yields is called, or at SIGTERM. Ctrl-C does so already."""
    task = asyncio.current_task()
    assert task is not None
    stopped = False

    def stop() -> None:
        nonlocal stopped
        # A second cancel would break off what the first one lets end.
        if not stopped:
            stopped = True
            task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        yield stop
    except asyncio.CancelledError:
        if not stopped:
            raise


async def _migrate(settings: Settings) -> int:
    if settings.embeds_postgres:
        return _fail("Set DATABASE_URL. The embedded database is migrated whenever the server starts.")
    applied = await migrate(settings.database)
    print("\n".join(f"applied {name}" for name in applied) or "the database is up to date")  # noqa: T201
    return 0


def _write_to_stdout(logger: logging.Logger) -> None:
    """Its messages as they are, and nowhere else."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _is_ours(record: logging.LogRecord) -> bool:
    """False for aiohttp's stack trace of a request that is no HTTP: any port scanner sends those."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _fail(message: str) -> int:
    print(message, file=sys.stderr)  # noqa: T201
    return 1
