"""Ports for servers that a test starts itself."""

import itertools
import os
import random
import socket

# Below those that the kernel gives to outgoing connections (32768 and up on Linux), of which the other
# tests make thousands, so that none is taken before its server listens. Each worker has a share of its own.
_FIRST, _END = 10_000, 32_000
_SHARES = 11
_SHARE = (_END - _FIRST) // _SHARES
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
# From somewhere in it, for tests of another checkout that run beside these.
_offsets = itertools.count(random.randrange(_SHARE))


def unused_port() -> int:
    """A TCP port on the loopback that nobody listens on, and that no other caller gets soon."""
    while True:
        port = _FIRST + _worker % _SHARES * _SHARE + next(_offsets) % _SHARE
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
