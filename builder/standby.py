"""A builder that is there before its build: everything imported, Node.js asked, waiting for its variables."""

import asyncio
import ctypes
import importlib
import json
import os
import sys

from builder.host import find_nodes

HEAVY = ("redis.asyncio", "brotli", "zstandard")
"""What builds import as they come to need it, and what takes longer than a small build's clone."""

PR_SET_NAME = 15


def await_variables() -> dict[str, str] | None:
    """The variables of the contract: a line of JSON on stdin. None where stdin ends before it.

    Afterwards stdin is as ``SUPERVISED=1`` wants it: nothing more comes, and its end is the server's end.
    """
    for name in HEAVY:
        importlib.import_module(name)
    asyncio.run(find_nodes())
    line = b""
    while not line.endswith(b"\n"):
        # Not sys.stdin: what that reads ahead would be lost to whoever watches for the end.
        chunk = os.read(sys.stdin.fileno(), 65536)
        if not chunk:
            return None
        line += chunk
    variables: dict[str, str] = json.loads(line)
    return variables


def show_deployment(deployment_id: str) -> None:
    """Names the process after its deployment (15 letters of it), as ``ps`` and ``top`` show it on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NAME, deployment_id.encode()[:15], 0, 0, 0)
