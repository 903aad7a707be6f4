"""``scalemesh.py logs``: a deployment's log in a terminal or a pipe, from wherever the server is reached."""

import argparse
import asyncio
import getpass
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TextIO

import aiohttp

COMMAND = "logs"
EMAIL_VARIABLE = "SCALEMESH_EMAIL"
PASSWORD_VARIABLE = "SCALEMESH_PASSWORD"  # noqa: S105 - a name

# An event is a batch of lines: 64 Ki characters, six times that as escaped JSON at the worst.
_MAX_EVENT_BYTES = 1024 * 1024
_ANSWER_S = 30.0
# Three of the server's heartbeats.
_SILENCE_MAX_S = 60.0
_FIRST_DELAY_S = 0.5
_MAX_DELAY_S = 10.0
# A server that restarts is back sooner.
_GIVE_UP_S = 120.0
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
# What could move a terminal's cursor or hide its neighbours; a builder lets none of it through.
_CONTROL = re.compile(r"\x1b(?!\[[0-9;:]*m)|[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class LogNotPrinted(Exception):
    """The sentence says why not, or why not all of it."""


@dataclass(frozen=True, slots=True)
class Account:
    email: str
    password: str


class LineWriter:
    """Writes a log's lines. Colours only where ``out`` is a terminal and NO_COLOR is not set."""

    def __init__(self, out: TextIO, *, colours: bool) -> None:
        self._out = out
        self._colours = colours
        self.last_seq = 0

    def write(self, event: Mapping[str, Any]) -> None:
        match event["type"]:
            case "lines":
                self._out.writelines(self._shown(line["text"]) + "\n" for line in event["lines"])
                self.last_seq = int(event["lines"][-1]["seq"])
            case "gap":
                self._out.write(f"[lines {event['from']} to {event['to']} were left out]\n")
                self.last_seq = int(event["to"])
        self._out.flush()

    def _shown(self, text: str) -> str:
        text = _CONTROL.sub("", text)
        if not self._colours:
            return _COLOUR.sub("", text)
        return f"{text}\x1b[0m" if "\x1b" in text else text


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = f"The account is that of {EMAIL_VARIABLE} and {PASSWORD_VARIABLE}, or is asked for."
    command = commands.add_parser(COMMAND, help="print a deployment's log", epilog=about)
    command.add_argument("deployment", help="its id, as in the address of its page")
    command.add_argument(
        "-f", "--follow", action="store_true", help="go on to the end; exit status 1 unless it is ready"
    )
    command.add_argument("--url", help="where the server is (default: PUBLIC_URL)")


async def run_command(options: argparse.Namespace, default_url: str) -> int:
    """The exit status. Raises LogNotPrinted."""
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    writer = LineWriter(sys.stdout, colours=colours)
    try:
        status = await print_log(
            options.url or default_url,
            account_from_environment(),
            options.deployment,
            writer,
            follow=options.follow,
        )
    except BrokenPipeError:
        # Whoever read it has enough (`| head`). What is left in the buffer must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if options.follow:
        _tell(f"The deployment is {status}.")
    return 0 if status == "ready" or not options.follow else 1


def account_from_environment() -> Account:
    """Asks for what is not set where somebody sits there to be asked. Raises LogNotPrinted."""
    email = os.environ.get(EMAIL_VARIABLE)
    password = os.environ.get(PASSWORD_VARIABLE)
    if (email is None or password is None) and not sys.stdin.isatty():
        raise LogNotPrinted(f"Set {EMAIL_VARIABLE} and {PASSWORD_VARIABLE}: the log is your account's.")
    if email is None:
        print("Email: ", end="", file=sys.stderr, flush=True)  # noqa: T201 - stdout is the log's
        email = sys.stdin.readline().strip()
    return Account(email, password if password is not None else getpass.getpass())


async def print_log(
    url: str, account: Account, deployment_id: str, writer: LineWriter, *, follow: bool
) -> str | None:
    """Writes what there is of the log, with ``follow`` to its end, across lost connections.

    The deployment's last status, or None where it has not ended. Raises LogNotPrinted.
    """
    async with _logged_in(url.rstrip("/"), account) as api:
        if not follow:
            return await _read(api, deployment_id, writer, follow=False)
        now = asyncio.get_running_loop().time
        lost_at, delay_s = None, _FIRST_DELAY_S
        while True:
            before = writer.last_seq
            try:
                return await _read(api, deployment_id, writer, follow=True)
            except (aiohttp.ClientError, TimeoutError) as error:
                if writer.last_seq > before or lost_at is None:
                    lost_at, delay_s = now(), _FIRST_DELAY_S
                elif now() - lost_at > _GIVE_UP_S:
                    raise LogNotPrinted(f"The server at {url} is gone: {error}") from error
                _tell(f"Connection lost; trying again in {delay_s:.1f} s.")
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, _MAX_DELAY_S)


async def _read(
    api: aiohttp.ClientSession, deployment_id: str, writer: LineWriter, *, follow: bool
) -> str | None:
    """One connection's worth. The status at the log's end, None where there is none yet."""
    path = f"/api/deployments/{deployment_id}/logs"
    query = {"after": str(writer.last_seq), **({"format": "events"} if follow else {})}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_ANSWER_S, sock_read=_SILENCE_MAX_S)
    async with api.get(path, params=query, timeout=timeout) as response:
        await _expect(response, 200)
        async for row in response.content:
            # Server-sent events where it follows, a JSON object on each row where it does not.
            event = _event(row.removeprefix(b"data: ")) if not follow or row.startswith(b"data: ") else {}
            if event.get("type") == "end":
                return str(event["status"])
            if event:
                writer.write(event)
    if follow:
        raise aiohttp.ClientPayloadError("the answer ended before the log did")
    return None


def _event(row: bytes) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(row)
    return {"type": "lines", "lines": [event]} if event["type"] == "line" else event


@asynccontextmanager
async def _logged_in(url: str, account: Account) -> AsyncIterator[aiohttp.ClientSession]:
    """A session of its own, which ends with the block."""
    try:
        async with aiohttp.ClientSession(
            url,
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            timeout=aiohttp.ClientTimeout(total=_ANSWER_S),
            read_bufsize=_MAX_EVENT_BYTES,
        ) as api:
            credentials = {"email": account.email, "password": account.password}
            async with api.post("/user/login", json=credentials) as response:
                await _expect(response, 200)
            try:
                yield api
            finally:
                # Where the server is away now, the session ends by its age.
                with suppress(aiohttp.ClientError, TimeoutError):
                    await (await api.post("/user/logout", json={})).read()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise LogNotPrinted(f"The server at {url} can't be used: {error or 'it does not answer'}") from error


async def _expect(response: aiohttp.ClientResponse, status: int) -> None:
    """A refusal is final and has its sentence; a server that is not well is asked again."""
    if response.status == status:
        return
    if response.status >= 500:
        response.raise_for_status()
    try:
        sentence = (await response.json())["error"]
    except (aiohttp.ContentTypeError, ValueError, KeyError, TypeError):
        sentence = f"It answered {response.status} to {response.url.path}; is it Scale Mesh?"
    raise LogNotPrinted(str(sentence))


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - stdout is the log's
