"""On its own Valkey the server gives each build a user of its own, as long as the build."""

from redis.asyncio import Redis

from scalemesh.logs.writers import LogWriters
from tests.parts.git import GitServer
from tests.parts.processes import gate, open_gate
from tests.parts.server import StartServer, eventually


async def test_a_build_writes_its_log_as_a_user_who_is_gone_at_its_end(
    new_server: StartServer, git_server: GitServer
) -> None:
    slow = gate()
    url = await git_server.make_repo(
        "own-user", {"build.sh": f"echo begun; {slow} || echo built > index.html"}
    )
    async with new_server(REDIS_URL="") as server, server.visitor() as user:
        assert server.redis_url is not None
        await user.sign_up()
        project = await user.project(url, buildCommand="sh build.sh", outputDirectory=".")
        deployment_id = await user.deploy(project["projectID"])
        await eventually(lambda: user.log(deployment_id), lambda log: "begun\n" in log, within_s=60)
        async with Redis.from_url(server.redis_url) as redis:
            writers = LogWriters(redis, server.redis_url)
            assert await writers.list_admitted() == [(deployment_id, 1)]
            await open_gate(slow)
            assert (await user.ended(deployment_id))["status"] == "ready", await user.log(deployment_id)
            assert await writers.list_admitted() == []
