"""Whether this machine can keep a build apart, found out before the server listens."""

import asyncio
import logging
import sys
from typing import Literal

from scalemesh.builds.process import ROOT
from scalemesh.errors import ScaleMeshError
from scalemesh.settings import Settings

logger = logging.getLogger(__name__)

# Starting an empty sandbox takes some 50 ms; a machine that needs longer has other troubles first.
_CHECK_TIMEOUT_S = 20.0


class CannotIsolate(ScaleMeshError):
    """Builds would run as this server's user while strangers can reach it."""

    code = "cannot_isolate"


async def choose_sandbox(settings: Settings) -> Literal["bwrap", "none"]:
    """``BUILD_SANDBOX``, or where that is unset what works here. Warns, or raises CannotIsolate.

    For builds in containers and tasks, which are apart already, it is none.
    """
    if settings.builder != "process":
        return "none"
    reason = "BUILD_SANDBOX=none is set"
    if settings.build_sandbox != "none":
        problem = await _why_bwrap_fails()
        if problem is None:
            return "bwrap"
        reason = problem
    if settings.build_sandbox == "bwrap" or not settings.listens_on_loopback_only:
        raise CannotIsolate(
            f"Builds can't be isolated on this machine ({reason}). Install bubblewrap (apt-get install "
            "bubblewrap) and allow user namespaces, or set HOST=127.0.0.1 to build without a sandbox."
        )
    logger.warning(
        "BUILDS ARE NOT ISOLATED (%s). A repository's code runs as your user and can read your files. "
        "Deploy only code that you trust. The server listens on this machine alone.",
        reason,
    )
    return "none"


async def _why_bwrap_fails() -> str | None:
    """None where the builder's own sandbox works here."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "builder",
        "--check-sandbox",
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        return "bubblewrap did not start a sandbox in time"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 0:
        return None
    lines = output.decode(errors="replace").splitlines()
    reasons = [line[line.index("bwrap:") :] for line in lines if "bwrap:" in line]
    return (reasons or lines or ["bubblewrap does not run"])[-1]
