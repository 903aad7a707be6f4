"""Ports for servers that a test starts itself."""

import socket


def unused_port() -> int:
    """A TCP port on the loopback that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
