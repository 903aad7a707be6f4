"""The fixtures keep what they promise to the other tests."""

import subprocess
from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import Browser
from redis.asyncio import Redis

from tests.parts.git import Files, GitServer, Symlink


def git(*arguments: str) -> str:
    """Runs git and returns what it complained about."""
    return subprocess.run(["git", *arguments], check=False, stderr=subprocess.PIPE, text=True).stderr


@pytest.mark.parametrize("_time", [1, 2])
async def test_every_test_gets_a_migrated_database_without_rows(database: str, _time: int) -> None:
    connection = await asyncpg.connect(database)
    try:
        assert await connection.fetchval("SELECT count(*) FROM users") == 0
        await connection.execute("CREATE TABLE only_here ()")
    finally:
        await connection.close()


@pytest.mark.parametrize("_time", [1, 2])
async def test_every_test_gets_an_empty_valkey(redis_url: str, _time: int) -> None:
    async with Redis.from_url(redis_url) as client:
        assert await client.dbsize() == 0
        await client.set("only", "here")


async def test_a_repository_is_cloned_over_http_at_any_of_its_commits(
    git_server: GitServer, tmp_path: Path
) -> None:
    files: Files = {"index.html": "one", "link": Symlink("/etc/passwd"), "dir/data.bin": b"\x00\xff"}
    url = await git_server.make_repo("shop", files, branch="trunk")
    first = await git_server.commit("shop", {"index.html": "two"}, "Second", branch="trunk")
    await git_server.commit("shop", {"index.html": "three"}, "Third", branch="trunk")
    assert git("clone", "--quiet", "--depth=1", url, str(tmp_path / "clone")) == ""
    assert (tmp_path / "clone" / "index.html").read_text() == "three"
    assert (tmp_path / "clone" / "link").readlink() == Path("/etc/passwd")
    assert git("-C", str(tmp_path / "clone"), "fetch", "--quiet", "--depth=1", "origin", first) == ""


def test_a_repository_that_does_not_exist_is_not_found(git_server: GitServer) -> None:
    assert "not found" in git("ls-remote", git_server.url("nobody"))


@pytest.mark.browser
async def test_the_browser_opens_a_page(chromium: Browser) -> None:
    page = await chromium.new_page()
    await page.set_content("<title>Seen</title>")
    assert await page.title() == "Seen"
    await page.close()
