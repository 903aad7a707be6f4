"""The live log in a real Valkey, also while it is away."""

import json
from itertools import takewhile
from typing import Any

from tests.builder.conftest import Valkey
from tests.builder.running import DEPLOYMENT, PROJECT, TIMEOUT_S, Builder, until
from tests.parts.git import GitServer
from tests.parts.processes import gate, open_gate, processes_with

SITE = "mkdir dist; echo hi > dist/index.html"


def streamed(valkey: Valkey) -> list[tuple[str, list[dict[str, Any]]]]:
    """The stream's entries: id and lines."""
    with valkey.client() as client:
        entries = client.xrange(f"build-log:{DEPLOYMENT}")
    return [(entry_id, json.loads(fields["lines"])) for entry_id, fields in entries]


async def test_every_line_is_in_the_stream_and_was_published(
    builder: Builder, git_server: GitServer, valkey: Valkey
) -> None:
    waits = gate()
    url = await git_server.make_repo("live", {"build.sh": f"echo line 1; {waits}; echo line 2; {SITE}"})
    with valkey.client() as client, client.pubsub() as channel:
        channel.subscribe(f"logs:{PROJECT}")
        messages = channel.listen()
        assert next(messages)["type"] == "subscribe"
        process = await builder.start(url, BUILD_COMMAND="sh build.sh", REDIS_URL=valkey.url)
        await until(lambda: "line 1" in json.dumps(streamed(valkey)), TIMEOUT_S)
        await open_gate(waits)
        built = await builder.finish(process)
        assert built.exit == 0, built.errors
        client.publish(f"logs:{PROJECT}", "that was all")
        heard = takewhile(lambda data: data != "that was all", (message["data"] for message in messages))
        published = [json.loads(data) for data in heard]
    entries = streamed(valkey)
    lines = [line for _, batch in entries for line in batch]
    assert [entry_id for entry_id, _ in entries] == [f"{batch[-1]['seq']}-0" for _, batch in entries]
    assert lines == [{k: v for k, v in record.items() if k != "type"} for record in built.records[:-1]]
    assert {message["deploymentID"] for message in published} == {DEPLOYMENT}
    assert [line for message in published for line in message["lines"]] == lines
    assert built.live == ""


async def test_lines_wait_while_redis_is_away(
    builder: Builder, git_server: GitServer, valkey: Valkey
) -> None:
    first, second = gate(), gate()
    script = f"echo line 1; {first}; echo line 2; {second}; {SITE}"
    url = await git_server.make_repo("away", {"build.sh": script})
    process = await builder.start(url, BUILD_COMMAND="sh build.sh", REDIS_URL=valkey.url)
    await until(lambda: "line 1" in json.dumps(streamed(valkey)), TIMEOUT_S)
    await valkey.stop()
    await open_gate(first)
    await until(lambda: bool(processes_with(second)), TIMEOUT_S)
    await valkey.start()
    await until(lambda: "line 2" in json.dumps(streamed(valkey)), TIMEOUT_S)
    await open_gate(second)
    built = await builder.finish(process)
    assert built.exit == 0, built.errors
    seqs = [line["seq"] for _, batch in streamed(valkey) for line in batch]
    assert seqs == [record["seq"] for record in built.records[:-1]]


async def test_a_build_succeeds_without_its_redis(
    builder: Builder, git_server: GitServer, valkey: Valkey
) -> None:
    url = await git_server.make_repo("no-redis", {"index.html": "hi"})
    await valkey.stop()
    built = await builder.run(url, REDIS_URL=valkey.url)
    assert built.exit == 0
    assert "Published 1 file" in built.text
    lines = built.records[:-1]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))


async def test_a_batch_that_is_there_already_is_no_error(
    builder: Builder, git_server: GitServer, valkey: Valkey
) -> None:
    url = await git_server.make_repo("repeated", {"index.html": "hi"})
    await builder.run(url, REDIS_URL=valkey.url)
    before = streamed(valkey)
    built = await builder.run(url, REDIS_URL=valkey.url)
    assert built.exit == 0
    assert "Redis" not in built.errors
    assert streamed(valkey) == before
