"""PostgreSQL and Valkey from their wheels: the default on one machine, with nothing to set up.

    with hold_data_dir(path) as data_dir:
        async with embedded_servers(data_dir) as servers:
            …  # servers.database_url, servers.redis_url

Both listen on Unix sockets only, keep their data under the data directory, and end with this process
however it ends: each runs under a `keeper` that stops it when this process's end of a pipe closes.
"""

from scalemesh.embedded.data_dir import hold_data_dir
from scalemesh.embedded.errors import (
    DataDirInUse,
    DataDirUnusable,
    EmbeddedServerError,
    ServerDidNotStart,
    ServerNotInstalled,
)
from scalemesh.embedded.postgres import embedded_postgres
from scalemesh.embedded.servers import EmbeddedServers, embedded_servers
from scalemesh.embedded.valkey import embedded_valkey

__all__ = [
    "DataDirInUse",
    "DataDirUnusable",
    "EmbeddedServerError",
    "EmbeddedServers",
    "ServerDidNotStart",
    "ServerNotInstalled",
    "embedded_postgres",
    "embedded_servers",
    "embedded_valkey",
    "hold_data_dir",
]
