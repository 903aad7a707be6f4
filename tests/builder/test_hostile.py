"""Builds of a repository that means harm. CASES.md, "Builds", names the classes."""

import asyncio
import json
import random
import signal
from asyncio.subprocess import Process
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from builder.build import STOP_GRACE_S, STOPPED_LIVE_CLOSE_S, STOPPED_LOG_PUT_S
from tests.builder.running import Builder, until, wait_for_output
from tests.parts.git import GitServer, Symlink

OK = "mkdir -p dist; echo hi > dist/index.html\n"
GONE_S = 60.0


def files(script: str) -> dict[str, str]:
    return {"build.sh": script, "package.txt": "a file beside the output"}


@pytest.fixture
def marker() -> str:
    """A command that outlives every test, and that no other run of the tests has."""
    return f"sleep {random.randint(10**8, 10**9)}"


async def until_gone(marker: str) -> None:
    """Waits until no process has ``marker`` in its command line."""

    def gone() -> bool:
        return not any(
            marker in " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
        )

    await until(gone, GONE_S)


async def test_a_build_sees_no_secret_of_the_builder(builder: Builder, git_server: GitServer) -> None:
    script = OK + "env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; ls /root /home 2>&1; true"
    url = await git_server.make_repo("env", files(script))
    built = await builder.run(
        url,
        BUILD_COMMAND="sh build.sh",
        AWS_SECRET_ACCESS_KEY="aws-secret-value",
        DATABASE_URL="postgres://u:db-secret-value@h/d",
        BUILD_ENV=json.dumps({"TOKEN": "token-of-the-project"}),
    )
    assert built.exit == 0, built.text
    assert "CI=true" in built.text
    for secret in ("aws-secret-value", "db-secret-value", "token-of-the-project"):
        assert secret not in built.text + built.live + built.errors
    assert str(builder.artifacts) not in built.text
    assert "TOKEN=***" in built.text


async def test_a_build_sees_nobody_elses_files_or_processes(builder: Builder, git_server: GitServer) -> None:
    script = (
        OK
        + f"ls {builder.artifacts.parent} && exit 9; touch /etc/x /usr/x && exit 9; ls -d /proc/[0-9]*; id -u"
    )
    url = await git_server.make_repo("view", files(script))
    built = await builder.run(url, BUILD_COMMAND="sh build.sh")
    assert built.exit == 0, built.text
    processes = [line for line in built.text.splitlines() if line.startswith("/proc/")]
    assert 1 < len(processes) < 15
    assert "\n0\n" not in built.text


async def test_a_daemon_is_gone_when_its_build_ends(
    builder: Builder, git_server: GitServer, marker: str
) -> None:
    url = await git_server.make_repo("daemon", files(OK + f"setsid {marker} & nohup {marker} &"))
    built = await builder.run(url, BUILD_COMMAND="sh build.sh")
    assert built.exit == 0, built.text
    await until_gone(marker)


def test_a_builder_that_is_stopped_waits_for_less_than_five_seconds() -> None:
    assert STOP_GRACE_S + STOPPED_LOG_PUT_S + STOPPED_LIVE_CLOSE_S < 5


@pytest.mark.parametrize("mode", ["bwrap", "none"])
async def test_a_cancel_ends_everything(
    builder: Builder, git_server: GitServer, mode: str, marker: str
) -> None:
    script = f"trap '' TERM INT HUP; setsid {marker} & echo waiting; {marker}; {marker}"
    url = await git_server.make_repo(f"cancel-{mode}", files(script))
    process = await builder.start(url, BUILD_COMMAND="sh build.sh", BUILD_SANDBOX=mode)
    await wait_for_output(process, "waiting")
    process.send_signal(signal.SIGTERM)
    built = await builder.finish(process)
    assert (built.exit, built.code) == (3, "canceled")
    await until_gone(marker)


async def test_a_deadline_ends_everything(builder: Builder, git_server: GitServer, marker: str) -> None:
    script = f"trap '' TERM INT HUP; setsid {marker} & {marker}; {marker}"
    url = await git_server.make_repo("endless", files(script))
    deadline = datetime.now(UTC) + timedelta(seconds=3)
    built = await builder.run(url, BUILD_COMMAND="sh build.sh", BUILD_DEADLINE=deadline.isoformat())
    assert (built.exit, built.code) == (1, "deadline_exceeded")
    await until_gone(marker)


async def test_the_end_of_the_server_ends_the_build(
    builder: Builder, git_server: GitServer, marker: str
) -> None:
    url = await git_server.make_repo("orphan", files(f"echo waiting; {marker}"))
    process = await builder.start(url, BUILD_COMMAND="sh build.sh", SUPERVISED="1")
    await wait_for_output(process, "waiting")
    assert process.stdin is not None
    process.stdin.close()
    built = await builder.finish(process)
    assert (built.exit, built.code) == (3, "server_lost")
    await until_gone(marker)


async def test_a_killed_builder_leaves_no_process(
    builder: Builder, git_server: GitServer, marker: str, tmp_path: Path
) -> None:
    url = await git_server.make_repo("killed", files(f"echo waiting; setsid {marker}"))
    work = str(tmp_path / "work")
    process: Process = await builder.start(url, BUILD_COMMAND="sh build.sh", WORKSPACE=work)
    await wait_for_output(process, "waiting")
    process.kill()
    await builder.finish(process)
    await until_gone(marker)


async def test_a_fork_bomb_hits_its_limit_and_is_gone(
    builder: Builder, git_server: GitServer, marker: str
) -> None:
    bomb = f"sh -c 'bomb() {{ bomb | bomb & }}; bomb' '{marker}' 2>/dev/null; sleep 2\n"
    url = await git_server.make_repo("bomb", files(bomb + "exit 5"))
    built = await builder.run(url, BUILD_COMMAND="sh build.sh", BUILD_PROCESSES="64", BUILD_UID="220000")
    assert built.code == "build_failed"
    await until_gone(marker)


async def test_a_build_that_takes_too_much_memory_is_ended(builder: Builder, git_server: GitServer) -> None:
    hog = "node -e 'const a = []; for (;;) a.push(Buffer.alloc(16e6, 1))'"
    url = await git_server.make_repo("memory", files(hog))
    built = await builder.run(url, BUILD_COMMAND="sh build.sh", BUILD_MEMORY_BYTES=str(400 * 1024**2))
    assert (built.exit, built.code) == (1, "out_of_memory")


REJECTED = {
    "leak": "ln -s /etc/passwd dist/leak",
    "d": "ln -s /etc dist/d",
    "up": "ln -s ../package.txt dist/up",
    "git": "ln -s ../.git/config dist/git",
    "loop": "ln -s loop dist/loop",
    "pipe": "mkfifo dist/pipe",
    "hard": "ln package.txt dist/hard",
    "bad-\\xff": "touch \"$(printf 'dist/bad-\\377')\"",
}


@pytest.mark.parametrize("name", REJECTED)
async def test_an_output_that_is_not_plain_files_is_rejected_by_name(
    builder: Builder, git_server: GitServer, name: str
) -> None:
    url = await git_server.make_repo(f"rejected-{name[:4]}", files(OK + REJECTED[name]))
    built = await builder.run(url, BUILD_COMMAND="sh build.sh")
    assert (built.exit, built.code) == (1, "artifact_rejected"), built.text
    assert name in built.result["error"]["message"]
    assert built.manifest is None


async def test_a_sparse_file_costs_nothing_to_refuse(builder: Builder, git_server: GitServer) -> None:
    url = await git_server.make_repo("sparse", files(OK + "truncate -s 3G dist/huge"))
    built = await builder.run(url, BUILD_COMMAND="sh build.sh")
    assert built.code == "limit_file_bytes"


async def test_an_output_directory_that_is_a_link_is_rejected(
    builder: Builder, git_server: GitServer
) -> None:
    url = await git_server.make_repo("linked-output", files("ln -s /etc dist"))
    built = await builder.run(url, BUILD_COMMAND="sh build.sh")
    assert built.code == "artifact_rejected"


@pytest.mark.parametrize("name", ["app/dist", "app", "repo"])
async def test_a_directory_on_the_way_to_the_output_may_not_become_a_link(
    builder: Builder, git_server: GitServer, name: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret/app/dist"
    secret.mkdir(parents=True)
    (secret / "index.html").write_text("somebody else's")
    target = {"app/dist": secret, "app": secret.parent, "repo": secret.parents[1]}[name]
    path = "/workspace/repo" if name == "repo" else f"/workspace/repo/{name}"
    url = await git_server.make_repo(
        f"swapped-{name.replace('/', '-')}", {"app/build.sh": f"cd /; rm -rf {path}; ln -s {target} {path}"}
    )
    built = await builder.run(url, BUILD_COMMAND="sh build.sh", ROOT_DIRECTORY="app", OUTPUT_DIRECTORY="dist")
    assert (built.exit, built.code) == (1, "artifact_rejected"), built.text


async def test_an_install_can_prepare_no_view_of_the_machine_for_the_build(
    builder: Builder, git_server: GitServer, tmp_path: Path
) -> None:
    (tmp_path / "seen").touch()
    install = f"for d in home tmp tools; do rm -rf /workspace/$d; ln -s {tmp_path} /workspace/$d; done"
    url = await git_server.make_repo("swapped-tmp", files(OK + "test ! -e /tmp/seen"))
    built = await builder.run(url, INSTALL_COMMAND=install, BUILD_COMMAND="sh build.sh")
    assert built.exit == 0, built.text


async def test_a_root_directory_that_is_a_link_is_refused(builder: Builder, git_server: GitServer) -> None:
    url = await git_server.make_repo("linked-root", {"app": Symlink("/etc")})
    built = await builder.run(url, ROOT_DIRECTORY="app")
    assert built.code == "root_directory_missing"


async def test_a_log_without_end_keeps_its_beginning_and_its_end(
    builder: Builder, git_server: GitServer
) -> None:
    script = "echo first; yes 0123456789012345678901234567890123456789 | head -n 300000; echo last; exit 1"
    url = await git_server.make_repo("yes", files(script))
    built = await builder.run(url, BUILD_COMMAND="sh build.sh")
    texts = [record["text"] for record in built.records if record["type"] == "line"]
    assert "first" in texts
    assert "last" in texts
    assert sum("are left out here" in text for text in texts) == 1
    assert len("".join(texts)) < 4.1 * 1024**2
    assert built.code == "build_failed"


async def test_a_line_of_100_mb_stays_flat_in_memory(builder: Builder, git_server: GitServer) -> None:
    url = await git_server.make_repo(
        "long-line", files(OK + "head -c 100000000 /dev/zero | tr '\\0' x; echo")
    )
    process = await builder.start(url, BUILD_COMMAND="sh build.sh")
    peak = 0
    waiter = asyncio.create_task(builder.finish(process))
    while not waiter.done():
        if psutil.pid_exists(process.pid):
            peak = max(peak, psutil.Process(process.pid).memory_info().rss)
        await asyncio.sleep(0.05)
    built = await waiter
    assert built.exit == 0
    assert any(record.get("text", "").endswith("[line cut at 8 KiB]") for record in built.records)
    assert peak < 120 * 1024**2
