"""The command line: serve, migrate, demo, logs."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence

import asyncpg
import uvloop
from aiohttp.http_exceptions import HttpProcessingError

from scalemesh import print_log
from scalemesh.app import CannotListen, listen, running_server
from scalemesh.db.migrate import migrate
from scalemesh.demo import DemoFailed, run_demo
from scalemesh.errors import ScaleMeshError
from scalemesh.settings import Settings, SettingsError, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 1 with a sentence on standard error."""
    parser = argparse.ArgumentParser(prog="scalemesh.py", description="Deploys web apps from a git URL.")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("serve", help="run the server (the default)")
    commands.add_parser("migrate", help="bring the database of DATABASE_URL up to date")
    commands.add_parser("demo", help="deploy an example app and fetch its page")
    print_log.add_command(commands)
    options = parser.parse_args(arguments)
    command = options.command or "serve"
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("aiohttp.server").addFilter(_is_ours)
    try:
        settings = load_settings()
        if command == "migrate":
            return uvloop.run(_migrate(settings))
        if command == print_log.COMMAND:
            return uvloop.run(print_log.run_command(options, settings.public_url))
        if command == "demo":
            uvloop.run(run_demo(settings))
        else:
            uvloop.run(_serve(settings))
    except KeyboardInterrupt:
        return 0
    except SettingsError as error:
        return _fail(f"The settings can't be used:\n{error}")
    except (CannotListen, ScaleMeshError, DemoFailed, print_log.LogNotPrinted) as error:
        return _fail(str(error))
    except (OSError, asyncpg.PostgresError) as error:
        return _fail(f"The database of DATABASE_URL can't be used: {error}")
    return 0


async def _serve(settings: Settings) -> None:
    task = asyncio.current_task()
    assert task is not None
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    # Ctrl-C cancels the task already; SIGTERM is to do the same.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        with listen(settings.host, settings.port) as listener:
            async with running_server(settings, listener):
                print(f"Scale Mesh is at {settings.public_url}", flush=True)  # noqa: T201
                await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not stopped:
            raise


async def _migrate(settings: Settings) -> int:
    if settings.embeds_postgres:
        return _fail("Set DATABASE_URL. The embedded database is migrated whenever the server starts.")
    applied = await migrate(settings.database)
    print("\n".join(f"applied {name}" for name in applied) or "the database is up to date")  # noqa: T201
    return 0


def _is_ours(record: logging.LogRecord) -> bool:
    """False for aiohttp's stack trace of a request that is no HTTP: any port scanner sends those."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _fail(message: str) -> int:
    print(message, file=sys.stderr)  # noqa: T201
    return 1
