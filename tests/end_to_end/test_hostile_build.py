"""What a build can reach of the server that runs it: nothing but its own workspace."""

import secrets
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from scalemesh.embedded import EmbeddedServers
from tests.parts.git import GitServer
from tests.parts.server import Client, Server

ASK = """
const answer = await fetch(process.argv[2] + '/api/projects', {headers: {Accept: 'application/json'}});
console.log('asked: ' + answer.status);
"""


async def test_a_build_reaches_no_data_of_the_server_nor_its_databases(
    user: Client, git_server: GitServer, server: Server, servers: EmbeddedServers, postgres_dsn: str
) -> None:
    [postgres] = parse_qs(urlsplit(postgres_dsn).query)["host"]
    valkey = urlsplit(str(servers.redis_url)).path
    hidden = [Path(postgres), Path(valkey), server.data_dir]
    assert all(path.exists() for path in hidden)
    hidden += [Path(f"/proc/1/root{server.data_dir}"), Path("/root/.ssh"), Path("/var/run/docker.sock")]
    script = "".join(f"test ! -e {path} || exit 9\n" for path in hidden)
    script += "tr '\\0' '\\n' < /proc/1/environ\n"
    script += f"node ask.mjs http://localhost:{server.port}\nmkdir dist; echo hi > dist/index.html\n"
    name = f"reaches-{secrets.token_hex(6)}"
    url = await git_server.make_repo(name, {"build.sh": script, "ask.mjs": ASK})
    project = await user.project(url, buildCommand="sh build.sh")

    ended = await user.ended(await user.deploy(project["projectID"]))

    log = await user.log(ended["deploymentID"])
    assert ended["status"] == "ready", log
    assert "asked: 401" in log
    for path in (postgres, valkey, str(server.data_dir)):
        # The script itself, which names the paths, is not in the log.
        assert path not in log
