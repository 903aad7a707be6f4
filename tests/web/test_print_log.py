"""``scalemesh.py logs``, against a real server."""

import asyncio
import io
import os
import sys
from pathlib import Path

import pytest

from scalemesh.model import Status
from scalemesh.print_log import Account, LineWriter, LogNotPrinted, print_log
from tests.logs.build import Build, line, lines
from tests.parts.server import PASSWORD, Client, eventually

_SCRIPT = Path(__file__).resolve().parents[2] / "scalemesh.py"
HOSTILE = "\x1b[31mred\x1b[2J\x07\x9b1m\u202e end"


@pytest.fixture
async def account(user: Client) -> Account:
    return Account((await user.get("/user/me")).json["email"], PASSWORD)


@pytest.mark.parametrize(
    ("colours", "expected"),
    [(True, "\x1b[31mred[2J1m end\x1b[0m\nplain\n"), (False, "red[2J1m end\nplain\n")],
)
async def test_what_there_is_of_a_log(
    user: Client, build: Build, account: Account, colours: bool, expected: str
) -> None:
    await build.write([line(1, HOSTILE), line(2, "plain")])
    out = io.StringIO()
    writer = LineWriter(out, colours=colours)
    assert await print_log(user.origin, account, build.deployment_id, writer, follow=False) is None
    assert out.getvalue() == expected


async def test_a_log_is_followed_across_a_lost_connection(
    user: Client, build: Build, account: Account
) -> None:
    connections: list[asyncio.StreamWriter] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", user.port)
        connections.append(writer)
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, up_writer))
            both.create_task(_pump(up_reader, writer))

    out = io.StringIO()
    writer = LineWriter(out, colours=False)
    await build.write([*lines(1, 3), *lines(6, 6)])
    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        url = f"http://localhost:{server.sockets[0].getsockname()[1]}"
        printing = asyncio.create_task(print_log(url, account, build.deployment_id, writer, follow=True))
        await eventually(lambda: writer.last_seq, lambda seq: seq == 6)
        connections[-1].transport.abort()
        await build.write(lines(7, 9))
        await build.end(Status.FAILED)
        assert await asyncio.wait_for(printing, 60) == "failed"
    gap = "[lines 4 to 5 were left out]"
    assert out.getvalue().split("\n") == [
        *(f"line {seq}" for seq in (1, 2, 3)),
        gap,
        *(f"line {seq}" for seq in (6, 7, 8, 9)),
        "",
    ]


async def test_a_refusal_has_the_servers_sentence(user: Client, build: Build, account: Account) -> None:
    writer = LineWriter(io.StringIO(), colours=False)
    with pytest.raises(LogNotPrinted, match="deployment"):
        await print_log(user.origin, account, "zzzzzzzzzzzz", writer, follow=True)
    wrong = Account(account.email, "not this one")
    with pytest.raises(LogNotPrinted, match="password"):
        await print_log(user.origin, wrong, build.deployment_id, writer, follow=True)
    with pytest.raises(LogNotPrinted, match="can't be used"):
        await print_log("http://localhost:1", account, build.deployment_id, writer, follow=True)


async def test_the_command_prints_and_says_how_it_went(user: Client, build: Build, account: Account) -> None:
    await build.archive(lines(1, 2))
    await build.end(Status.FAILED)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_SCRIPT),
        "logs",
        build.deployment_id,
        "--follow",
        "--url",
        user.origin,
        env={**os.environ, "SCALEMESH_EMAIL": account.email, "SCALEMESH_PASSWORD": account.password},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, out, err) == (1, b"line 1\nline 2\n", b"The deployment is failed.\n")


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
