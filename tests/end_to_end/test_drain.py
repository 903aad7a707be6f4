"""SIGTERM on a real server process: it says so, finishes what is under way, and gives the rest back."""

import asyncio
import secrets
import signal
from pathlib import Path

import aiohttp

from scalemesh.db.pool import open_pool
from tests.parts.git import GitServer
from tests.parts.processes import processes_with
from tests.parts.server import eventually
from tests.parts.server_process import server_process

# Twenty are the promise, on a machine that has time for it.
LONGEST_S = 60


async def test_a_server_that_is_told_to_stop_drains(
    database: str, redis_url: str, git_server: GitServer, tmp_path: Path
) -> None:
    settings = {
        "DATABASE_URL": database,
        "REDIS_URL": redis_url,
        "SESSION_KEY": "a key for tests only",
        # In which all that follows the signal is asked.
        "DRAIN_S": "3",
    }
    slow = f"sleep 9{secrets.randbelow(10**6):06}"
    url = await git_server.make_repo(f"drain-{secrets.token_hex(4)}", {"build.sh": f"echo begun; {slow}"})
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
        server_process(tmp_path / "data", session, **settings) as server,
        open_pool(database) as pool,
    ):
        user = server.client
        email = await user.sign_up()
        project = await user.project(url, buildCommand="sh build.sh", outputDirectory="dist")
        deployment_id = await user.deploy(project["projectID"])
        await eventually(lambda: user.log(deployment_id), lambda log: "begun\n" in log, within_s=60)
        live = f"{user.origin}/api/deployments/{deployment_id}/logs/live"
        console = await session.ws_connect(live, headers={"Origin": user.origin})
        other = await user.project(url)

        async with asyncio.timeout(LONGEST_S):
            server.process.send_signal(signal.SIGTERM)
            health = await eventually(lambda: user.get("/health"), lambda answer: answer.status != 200)
            assert (health.status, health.json) == (503, {"status": "draining"})
            assert (await user.get("/health/live")).status == 200
            late = await user.deploy(other["projectID"])
            held = await pool.acquire()
            await held.execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            under_way = asyncio.create_task(user.get("/user/me"))
            while (await console.receive()).type != aiohttp.WSMsgType.CLOSE:
                pass
            assert console.close_code == aiohttp.WSCloseCode.GOING_AWAY
            await held.execute("COMMIT")
            await pool.release(held)
            assert (await under_way).json["email"] == email
            await server.process.wait()
        assert server.process.returncode == 0
        assert processes_with(slow) == []
        rows = await pool.fetch("SELECT id, status, worker FROM deployments ORDER BY created_at")
        assert [(row["id"], row["status"], row["worker"]) for row in rows] == [
            (deployment_id, "queued", None),
            (late, "queued", None),
        ]
        await console.close()
