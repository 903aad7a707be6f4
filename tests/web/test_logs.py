"""The log's routes, each in its own words; ``test_log_readers`` has what all of them share."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import psutil
import pytest

from scalemesh.logs.lines import line_shape
from scalemesh.model import Status
from scalemesh.web import log_readers
from tests.logs.build import Build, line, lines, long_line
from tests.logs.deaf import connect, drain
from tests.parts.git import GitServer
from tests.parts.processes import command_line
from tests.parts.server import PASSWORD, Answer, Client, Server, eventually
from tests.web.readers import UPGRADE

HOSTILE = "<img src=x onerror=alert(1)>\u202e\u2028</script>"


def live_path(deployment_id: str, after: object = 0) -> str:
    return f"/api/deployments/{deployment_id}/logs/live?after={after}"


async def upgrade(client: Client, path: str, **headers: str) -> Answer:
    """The answer to a handshake that is expected to be refused."""
    return await client.get(path, headers={**UPGRADE, **headers})


@asynccontextmanager
async def console(
    client: Client, deployment_id: str, after: int = 0
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    url = f"http://localhost:{client.port}{live_path(deployment_id, after)}"
    async with asyncio.timeout(60), client.session.ws_connect(url, origin=client.origin) as opened:
        assert await opened.receive_json() == {"type": "status", "status": "building"}
        yield opened


async def closed(opened: aiohttp.ClientWebSocketResponse) -> int | None:
    """The code with which the server closes; what comes before is passed over."""
    async for message in opened:
        assert message.type is aiohttp.WSMsgType.TEXT
    return opened.close_code


async def numbers(opened: aiohttp.ClientWebSocketResponse, last: int) -> list[int]:
    """The lines' numbers as they come, up to ``last``."""
    seen: list[int] = []
    while last not in seen:
        frame = await opened.receive_json()
        assert frame["type"] == "lines"
        seen += [each["seq"] for each in frame["lines"]]
    return seen


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "http://evil.example",
        "http://shop.localhost:{port}",
        "http://localhost",
        "http://localhost:{port}.evil.example",
        "ws://localhost:{port}",
    ],
)
async def test_a_socket_for_another_sites_page_is_refused_before_it_is_one(
    user: Client, build: Build, origin: str | None
) -> None:
    headers = {} if origin is None else {"Origin": origin.format(port=user.port)}
    answer = await upgrade(user, live_path(build.deployment_id), **headers)
    assert (answer.status, answer.json["code"]) == (403, "foreign_origin")


@pytest.mark.parametrize("after", ["-1", "1e309", "٣", "1.5", "", "99999999999", "+1", "0x1", "1_0", "1%00"])
async def test_after_is_a_number_of_a_line(user: Client, build: Build, after: str) -> None:
    for answer in (
        await upgrade(user, live_path(build.deployment_id, after), Origin=user.origin),
        await user.get(f"/api/deployments/{build.deployment_id}/logs?after={after}"),
    ):
        assert (answer.status, answer.json["code"]) == (400, "malformed_request")


@pytest.mark.parametrize("query", ["upto=-1", "upto=", "after=5&upto=5", "upto=0", "format=html", "format="])
async def test_what_is_no_range_and_no_format_is_refused(user: Client, build: Build, query: str) -> None:
    answer = await user.get(f"/api/deployments/{build.deployment_id}/logs?{query}")
    assert (answer.status, answer.json["code"]) == (400, "malformed_request")


async def test_a_request_that_is_no_socket_is_refused(user: Client, build: Build) -> None:
    answer = await user.get(live_path(build.deployment_id), headers={"Origin": user.origin})
    assert answer.status == 400


async def test_frames_have_the_documented_shape(user: Client, build: Build) -> None:
    first = [line(1, "\x1b[32mok\x1b[0m"), line(2, HOSTILE)]
    await build.write(first)
    async with console(user, build.deployment_id) as opened:
        frames = [await opened.receive_json()]
        await build.write([line(5)])
        frames += [await opened.receive_json(), await opened.receive_json()]
        await build.end(Status.SUPERSEDED)
        frames += [await opened.receive_json(), await opened.receive_json()]
        assert frames == [
            {"type": "lines", "lines": [line_shape(each) for each in first]},
            {"type": "gap", "from": 3, "to": 4},
            {"type": "lines", "lines": [line_shape(line(5))]},
            {"type": "status", "status": "superseded"},
            {"type": "end", "status": "superseded"},
        ]
        assert set(frames[0]["lines"][0]) == {"seq", "time", "stream", "phase", "text"}
        assert await closed(opened) == 1000


async def test_a_new_password_closes_the_sockets_of_every_session(
    user: Client, server: Server, build: Build
) -> None:
    email = (await user.get("/user/me")).json["email"]
    async with server.visitor() as phone:
        assert (await phone.post("/user/login", {"email": email, "password": PASSWORD})).status == 200
        async with console(user, build.deployment_id) as own, console(phone, build.deployment_id) as other:
            body = {"currentPassword": PASSWORD, "password": "another one"}
            assert (await user.post("/user/password", body)).status == 204
            assert [await closed(own), await closed(other)] == [1008, 1008]
        async with console(user, build.deployment_id):
            pass


async def test_what_a_client_says_is_nothing_to_us_but_not_without_bounds(user: Client, build: Build) -> None:
    async with console(user, build.deployment_id) as opened:
        await opened.send_str("hello")
        await opened.send_bytes(b"\x00")
        await build.write(lines(1, 1))
        assert await numbers(opened, 1) == [1]
        await opened.send_str("x" * 10_000)
        assert await closed(opened) == 1009


async def test_a_client_that_answers_no_ping_is_closed_and_one_that_does_is_not(
    user: Client, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_readers, "PING_S", 0.2)
    monkeypatch.setattr(log_readers, "CLOSE_TIMEOUT_S", 0.2)
    path = live_path(build.deployment_id)
    async with console(user, build.deployment_id) as opened:
        await opened.ping(b"and ours is answered")
        reading = asyncio.ensure_future(numbers(opened, 1))
        request_line = f"GET {path} HTTP/1.1\r\n"
        with await connect(user, request_line, Origin=user.origin, **UPGRADE) as deaf:
            # Nothing is sent to it but pings, so only those can tell.
            assert await asyncio.wait_for(drain(deaf), 60) > 0
        await build.write(lines(1, 1))
        assert await reading == [1]


async def test_the_log_as_ndjson(user: Client, build: Build) -> None:
    await build.write([*lines(1, 3), line(7, HOSTILE)])
    answer = await user.get(f"/api/deployments/{build.deployment_id}/logs?after=1")
    assert answer.headers["Content-Type"] == "application/x-ndjson; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert _events(answer) == [
        *({"type": "line", **line_shape(each)} for each in lines(2, 3)),
        {"type": "gap", "from": 4, "to": 6},
        {"type": "line", **line_shape(line(7, HOSTILE))},
        {"type": "status", "status": "building"},
    ]
    await build.archive(lines(1, 2))
    await build.end(Status.FAILED)
    answer = await user.get(f"/api/deployments/{build.deployment_id}/logs?after=999999999")
    assert _events(answer) == [{"type": "end", "status": "failed"}]


async def test_the_log_as_text(user: Client, build: Build) -> None:
    await build.write([line(1, "\x1b[1;31merror\x1b[0m: \x1b[38;2;1;2;3mno"), line(4, HOSTILE), line(5, "")])
    path = f"/api/deployments/{build.deployment_id}/logs"
    for answer in (
        await user.get(path, headers={"Accept": "text/plain"}),
        await user.get(f"{path}?format=text", headers={"Accept": "text/html"}),
    ):
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Content-Disposition" not in answer.headers
        assert answer.text == f"error: no\n[lines 2 to 3 were left out]\n{HOSTILE}\n\n"
    assert (await user.get(f"{path}?format=text&after=4")).text == "\n"
    assert (await user.get(f"{path}?format=text&after=5")).text == ""


async def test_a_range_of_the_log(user: Client, build: Build) -> None:
    await build.archive(lines(1, 2000))
    await build.end()
    path = f"/api/deployments/{build.deployment_id}/logs?format=text"
    assert (await user.get(f"{path}&after=119&upto=122")).text == "line 120\nline 121\nline 122\n"
    assert (await user.get(f"{path}&after=1998&upto=9999")).text == "line 1999\nline 2000\n"


async def test_server_sent_events(user: Client, build: Build) -> None:
    await build.archive([*lines(1, 2), line(5, HOSTILE)])
    await build.end()
    path = f"/api/deployments/{build.deployment_id}/logs?after=1"
    shapes = [
        json.dumps({"type": "lines", "lines": [line_shape(each)]}, ensure_ascii=False, separators=(",", ":"))
        for each in (line(2), line(5, HOSTILE))
    ]
    expected = [
        'data: {"type": "status", "status": "ready"}',
        f"id: 2\ndata: {shapes[0]}",
        'id: 4\ndata: {"type": "gap", "from": 3, "to": 4}',
        f"id: 5\ndata: {shapes[1]}",
        'id: end\ndata: {"type": "end", "status": "ready"}',
    ]
    events = {"Accept": "text/event-stream"}
    answer = await user.get(path, headers=events)
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.text == "".join(f"{each}\n\n" for each in expected)
    again = await user.get(path, headers={**events, "Last-Event-ID": "4"})
    assert again.text == "".join(f"{each}\n\n" for each in (expected[0], *expected[3:]))
    assert (await user.get(path, headers={**events, "Last-Event-ID": "end"})).status == 204
    assert (await user.get(path, headers={**events, "Last-Event-ID": "x"})).status == 400


async def test_silent_server_sent_events_say_that_they_are_there(
    user: Client, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_readers, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(log_readers, "_LOOK_S", 0.05)
    url = f"http://localhost:{user.port}/api/deployments/{build.deployment_id}/logs?format=events"
    async with asyncio.timeout(60), user.session.get(url) as response:
        words = b'data: {"type": "status", "status": "building"}\n\n:\n\n:\n\n'
        assert await response.content.readexactly(len(words)) == words


async def test_the_log_as_a_file(user: Client, build: Build) -> None:
    await build.write(lines(1, 2))
    answer = await user.get(f"/api/deployments/{build.deployment_id}/logs?format=text&download=1")
    project = (await user.get(f"/api/projects/{build.project_id}")).json
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{project["slug"]}-1.log"'
    assert answer.text == "line 1\nline 2\n"


async def test_a_long_log_leaves_the_server_quick(user: Client, build: Build) -> None:
    await build.archive(line(seq, "some words of a log") for seq in range(1, 100_001))
    await build.end()
    # The loop's own time, which nobody else's work adds to.
    began = time.thread_time()
    reading = asyncio.ensure_future(user.get(f"/api/deployments/{build.deployment_id}/logs"))
    waits: list[float] = []

    async def ask() -> None:
        started = time.thread_time()
        assert (await user.get("/health/live")).status == 200
        waits.append(time.thread_time() - started)

    await eventually(ask, lambda _: reading.done(), within_s=60, every_s=0.02)
    assert (await reading).body.count(b"\n") == 100_001
    assert len(waits) > 10
    # Nobody else waits for more than a part of it, however slow the machine is.
    assert max(waits) < (time.thread_time() - began) / 3


async def test_a_client_that_never_reads_the_file_is_cut_off(
    user: Client, build: Build, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log_readers, "SEND_TIMEOUT_S", 0.3)
    await build.archive(long_line(seq) for seq in range(1, 2401))
    await build.end()
    path = f"/api/deployments/{build.deployment_id}/logs"
    with await connect(user, f"GET {path} HTTP/1.1\r\n") as deaf:
        await eventually(lambda: "broke off" in caplog.text)
        received = await asyncio.wait_for(drain(deaf), 60)
    assert 0 < received < 2400 * 8000


async def test_a_real_build_is_seen_live_as_it_is_kept(user: Client, git_server: GitServer) -> None:
    script = f"for i in 1 2 3 4 5; do printf '%s\\n' '{HOSTILE}'; done; mkdir dist; echo hi > dist/index.html"
    url = await git_server.make_repo("seen-live", {"build.sh": script})
    project = await user.project(url, buildCommand="sh build.sh", outputDirectory="dist")
    deployment_id = await user.deploy(project["projectID"])

    async def look(_texts: list[str]) -> None:
        pass

    seen = await _seen_as_kept(user, deployment_id, look)
    assert [each["seq"] for each in seen] == list(range(1, len(seen) + 1))
    assert sum("<img src=x onerror=alert(1)></script>" in each["text"] for each in seen) >= 5


async def test_a_build_whose_builder_is_killed_is_seen_live_as_it_is_kept(
    user: Client, git_server: GitServer
) -> None:
    url = await git_server.make_repo("seen-killed", {"build.sh": "echo line 1; sleep 600"})
    word = secrets.token_hex(8)
    project = await user.project(url, buildCommand=f"sh build.sh {word}", outputDirectory="dist")
    deployment_id = await user.deploy(project["projectID"])
    killed: list[psutil.Process] = []

    async def kill(texts: list[str]) -> None:
        if "line 1" in texts and not killed:
            script = "echo line 1; echo line 2; mkdir dist; echo hi > dist/index.html"
            await git_server.commit("seen-killed", {"build.sh": script}, "For the next attempt")
            # A look in which a parent is reaped does not see its children.
            killed.extend(
                await eventually(lambda: [each for each in psutil.Process().children() if _runs(each, word)])
            )
            killed[0].kill()

    seen = await _seen_as_kept(user, deployment_id, kill)
    texts = [each["text"] for each in seen]
    assert (texts.count("line 1"), texts.count("line 2")) == (2, 1)
    assert texts.count("The build was interrupted. It starts again.") == 1


async def _seen_as_kept(
    user: Client, deployment_id: str, look: Callable[[list[str]], Awaitable[None]]
) -> list[dict[str, Any]]:
    """The lines that a console got until the end, which are those of the log. ``look`` at each frame's."""
    seen: list[dict[str, Any]] = []
    address = f"http://localhost:{user.port}{live_path(deployment_id)}"
    async with asyncio.timeout(60), user.session.ws_connect(address, origin=user.origin) as opened:
        async for message in opened:
            frame = message.json()
            assert frame["type"] in ("lines", "status", "end"), frame
            seen += frame.get("lines", [])
            await look([each["text"] for each in frame.get("lines", [])])
    assert opened.close_code == 1000
    assert frame == {"type": "end", "status": "ready"}, seen
    kept = _events(await user.get(f"/api/deployments/{deployment_id}/logs"))
    assert [{"type": "line", **each} for each in seen] == kept[:-1]
    return seen


def _runs(process: psutil.Process, word: str) -> bool:
    with suppress(psutil.NoSuchProcess):
        return any(word in command_line(each) for each in process.children(recursive=True))
    return False


def _events(answer: Answer) -> list[dict[str, Any]]:
    # Not splitlines: the text of a line may hold what Unicode takes for a line's end.
    return [json.loads(row) for row in answer.text.split("\n")[:-1]]
