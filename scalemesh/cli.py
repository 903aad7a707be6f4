"""The command line: serve, migrate, demo, logs, ecs-setup, doctor, settings-docs."""

import argparse
import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import asyncpg
import uvloop
from aiohttp.http_exceptions import HttpProcessingError

from scalemesh import print_log
from scalemesh.app import CannotListen, listen, running_server
from scalemesh.demo import DemoFailed, run_demo
from scalemesh.doctor import run_doctor
from scalemesh.ecs_setup.options import add_arguments
from scalemesh.errors import ScaleMeshError
from scalemesh.reachable import CannotReach, migrate_database
from scalemesh.settings import Settings, SettingsError, load_settings
from scalemesh.settings_page import settings_page
from scalemesh.siblings import COMMAND, First, keep_siblings, meet_first
from scalemesh.turns import take_short_turns


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 1 with a sentence on standard error."""
    parser = argparse.ArgumentParser(prog="scalemesh.py", description="Deploys web apps from a git URL.")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("serve", help="run the server (the default)")
    commands.add_parser("migrate", help="bring the database of DATABASE_URL up to date")
    commands.add_parser("demo", help="deploy an example app and fetch its page")
    commands.add_parser("doctor", help="check each setting against the real thing")
    add_arguments(commands.add_parser("ecs-setup", help="make what BUILDER=ecs needs in an AWS account"))
    commands.add_parser("settings-docs", help="print docs/settings.md")
    commands.add_parser(COMMAND)
    print_log.add_command(commands)
    options = parser.parse_args(arguments)
    command = options.command or "serve"
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("aiohttp.server").addFilter(_is_ours)
    if command == "settings-docs":
        print(settings_page(), end="")  # noqa: T201
        return 0
    try:
        if command == "ecs-setup":
            from scalemesh.ecs_setup.command import run_setup

            uvloop.run(run_setup(options))
            return 0
        settings = load_settings()
        if settings.access_log != "off":
            _write_to_stdout(logging.getLogger("scalemesh.access"))
        if command == "migrate":
            return uvloop.run(_migrate(settings))
        if command == "doctor":
            return uvloop.run(run_doctor(settings))
        if command == print_log.COMMAND:
            return uvloop.run(print_log.run_command(options, settings.public_url))
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
    except CannotReach as error:
        return _fail(f"The server can't start:\n{error}")
    except (CannotListen, ScaleMeshError, DemoFailed, print_log.LogNotPrinted) as error:
        return _fail(str(error))
    except (OSError, asyncpg.PostgresError) as error:
        return _fail(f"The server can't start: {error}")
    return 0


async def _serve(settings: Settings) -> None:
    others = settings.web_concurrency - 1
    with _stoppable() as stop, listen(settings.host, settings.port, opens=others > 0) as listener:
        async with (
            running_server(settings, listener) as running,
            keep_siblings(others, First(running.servers, listener.getsockname()[1])) as let_siblings_go,
        ):
            print(f"Scale Mesh is at {settings.public_url}", flush=True)  # noqa: T201
            await stop.asked()
            # They finish beside this one, not after it.
            await let_siblings_go()
            await running.drain()


async def _serve_beside_first(settings: Settings) -> None:
    with _stoppable() as stop:
        first = await meet_first(stop)
        if first is None:
            return
        with listen(settings.host, first.port, joins=True) as listener:
            async with running_server(settings, listener, servers=first.servers) as running:
                await stop.asked()
                await running.drain()


class _Stop:
    """Called at SIGTERM: once, it lets the server finish; twice, or during the start, it ends ``task`` now.

    Once more would break off what that lets end, so it does nothing.
    """

    def __init__(self, task: "asyncio.Task[object]") -> None:
        self._task = task
        self._asked = asyncio.Event()
        self._serving = False
        self.now = False

    def __call__(self) -> None:
        if self._serving and not self._asked.is_set():
            self._asked.set()
        elif not self.now:
            self.now = True
            self._task.cancel()

    async def asked(self) -> None:
        """Waits, while the server serves, until it is to finish."""
        self._serving = True
        take_short_turns()
        # What is there by now stays: the collector need not look through it in the middle of an answer.
        gc.freeze()
        gc.enable()
        await self._asked.wait()


@contextmanager
def _stoppable() -> Iterator[_Stop]:
    """SIGTERM is told to what it yields. Ctrl-C cancels the task already."""
    task = asyncio.current_task()
    assert task is not None
    stop = _Stop(task)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    # As in scalemesh.py: a start makes next to no garbage, and much that stays.
    gc.disable()
    try:
        yield stop
    except asyncio.CancelledError:
        if not stop.now:
            raise


async def _migrate(settings: Settings) -> int:
    if settings.embeds_postgres:
        return _fail("Set DATABASE_URL. The embedded database is migrated whenever the server starts.")
    applied = await migrate_database(settings.database)
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
