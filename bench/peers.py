"""The programs people would put there instead, as they are installed here; one that is not is left out."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.parts.ports import unused_port
from tests.parts.server import eventually

NGINX, CADDY, NGINX_PROXY, GO_PROXY = "nginx", "Caddy", "nginx to S3", "Go proxy to S3"

PROGRAMS = ("nginx", "caddy", "go")
NOWHERE = "127.0.0.1:9"
"""For those who ask no proxy."""

_NGINX = """
daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; etag on;
  open_file_cache max=25000; types {{ text/html html; text/javascript js; }}
  upstream s3 {{ server {s3}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {sites}/$host;
    location = /asset.js {{
      rewrite ^ /asset.js.br break; default_type text/javascript;
      add_header Content-Encoding br; add_header Vary Accept-Encoding;
    }}
  }}
  server {{
    listen 127.0.0.1:{proxy_port};
    location / {{
      proxy_pass http://s3; proxy_http_version 1.1;
      proxy_set_header Host {s3}; proxy_set_header Connection "";
    }}
  }}
}}
"""

_CADDY = """
{{
  admin off
  auto_https off
}}
http://:{port} {{
  bind 127.0.0.1
  root * {sites}/{{host}}
  file_server {{
    precompressed br
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A running one; ``pid`` is the process that answers on ``port``."""

    name: str
    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class Peers:
    running: dict[str, Peer]
    versions: list[str]
    """A line each, also for what is not installed."""


@asynccontextmanager
async def run_peers(
    root: Path, sites: Path, s3: str = NOWHERE, *, programs: Collection[str] = PROGRAMS
) -> AsyncIterator[Peers]:
    """``sites`` has a directory for each host; ``s3`` is host:port."""
    peers = Peers({}, [])
    async with AsyncExitStack() as stack:
        for name, start in (("nginx", _nginx), ("caddy", _caddy), ("go", _go)):
            if name not in programs:
                continue
            if (program := shutil.which(name)) is None:
                peers.versions.append(f"{name}: not installed")
                continue
            peers.versions.append(f"{name}: {await asyncio.to_thread(_version, name, program)}")
            await start(stack, program, root, sites, s3, peers.running)
        yield peers


async def _nginx(
    stack: AsyncExitStack, program: str, root: Path, sites: Path, s3: str, running: dict[str, Peer]
) -> None:
    port, proxy_port = unused_port(), unused_port()
    config = root / "nginx.conf"
    config.write_text(_NGINX.format(root=root, port=port, proxy_port=proxy_port, sites=sites, s3=s3))
    process = await _start(stack, port, program, "-c", str(config))
    [worker] = await eventually(psutil.Process(process.pid).children)
    running[NGINX] = Peer(NGINX, port, worker.pid)
    running[NGINX_PROXY] = Peer(NGINX_PROXY, proxy_port, worker.pid)


async def _caddy(
    stack: AsyncExitStack, program: str, root: Path, sites: Path, s3: str, running: dict[str, Peer]
) -> None:
    port = unused_port()
    config = root / "Caddyfile"
    config.write_text(_CADDY.format(port=port, sites=sites))
    arguments = ("run", "--config", str(config), "--adapter", "caddyfile")
    process = await _start(stack, port, program, *arguments)
    running[CADDY] = Peer(CADDY, port, process.pid)


async def _go(
    stack: AsyncExitStack, program: str, root: Path, sites: Path, s3: str, running: dict[str, Peer]
) -> None:
    port = unused_port()
    binary = root / "proxy"
    source = Path(__file__).with_name("proxy.go")
    building = await asyncio.create_subprocess_exec(program, "build", "-o", str(binary), str(source))
    assert await building.wait() == 0
    process = await _start(stack, port, str(binary), f"127.0.0.1:{port}", f"http://{s3}")
    running[GO_PROXY] = Peer(GO_PROXY, port, process.pid)


async def _start(stack: AsyncExitStack, port: int, *command: str) -> asyncio.subprocess.Process:
    # Linux may weigh sessions against each other: ours has one of its own too.
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    stack.push_async_callback(process.wait)
    stack.callback(_end, process)

    def is_up() -> bool:
        assert process.returncode is None, f"{command} ended with status {process.returncode}"
        return _accepts(port)

    await eventually(is_up, within_s=20)
    return process


def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _version(name: str, program: str) -> str:
    argument = "-v" if name == "nginx" else "version"
    said = subprocess.run([program, argument], capture_output=True, text=True, check=True)
    return (said.stdout + said.stderr).strip().splitlines()[0]
