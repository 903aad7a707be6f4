"""The argument list of a user's command. Pure: ``host`` looks at the machine, ``run`` executes.

What it promises: the command sees the system and the tool chain read-only, its own workspace, and no
other process; it has no capability, and its process tree ends with its first process. The network is
shared, because registries are on it: nothing without a password may listen on the loopback.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from builder.workspace import VIEW

INSIDE_UID = 1000
"""What a command sees as its uid where the builder is not root and bubblewrap maps it."""

ENV_FILE = "/etc/scalemesh-env"

FILE_BYTES = 4 * 1024**3
"""Of one file that a build writes. Its site's files are far smaller; its caches are not."""

OPEN_FILES = 8192
NICENESS = 5
"""The server answers visitors on the same machine."""

SHM_BYTES = 256 * 1024**2
"""Shared memory counts as no process's own, so the memory watch would not see it."""

_ENTER = f'. {ENV_FILE} && exec sh -c "$1"'


@dataclass(frozen=True, slots=True)
class Mount:
    """``option`` is bubblewrap's own: ``--ro-bind``, ``--bind`` or ``--symlink``."""

    option: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Tools:
    """Absolute paths; ``None`` where the machine has none (``setpriv`` and ``prlimit`` are Linux's)."""

    bwrap: str | None
    prlimit: str | None
    setpriv: str | None


@dataclass(frozen=True, slots=True)
class Sandbox:
    """How commands of one build are contained.

    ``uid`` is what to become where the builder is root, else ``None``. ``mounts`` are the machine's
    share of the view (``host.system_mounts``).
    """

    tools: Tools
    mounts: tuple[Mount, ...]
    build_directory: Path
    tmp_directory: Path
    uid: int | None
    processes: int


def sandboxed(sandbox: Sandbox, *, env_file: Path, cwd: PurePosixPath, command: str) -> list[str]:
    """``command`` for ``sh`` inside bubblewrap, in ``cwd`` of the sandbox's view.

    The variables come from ``env_file`` and not from ``--setenv``, whose values every user of the
    machine could read in the process list.
    """
    assert sandbox.tools.bwrap is not None
    argv = [sandbox.tools.bwrap]
    mounts = (*sandbox.mounts, Mount("--ro-bind", str(env_file), ENV_FILE))
    for directory in _parents(mounts):
        argv += ["--dir", directory]
    for mount in mounts:
        argv += [mount.option, mount.source, mount.target]
    argv += ["--proc", "/proc", "--dev", "/dev"]
    argv += ["--perms", "1777", "--size", str(SHM_BYTES), "--tmpfs", "/dev/shm"]  # noqa: S108
    argv += ["--bind", str(sandbox.build_directory), str(VIEW)]
    # On disk, where a build's temporary files take nobody's memory.
    argv += ["--bind", str(sandbox.tmp_directory), "/tmp"]  # noqa: S108
    argv += ["--remount-ro", "/dev", "--remount-ro", "/"]
    if sandbox.uid is None:
        argv += ["--unshare-user", "--uid", str(INSIDE_UID), "--gid", str(INSIDE_UID)]
    argv += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    argv += ["--hostname", "build", "--die-with-parent", "--new-session"]
    argv += ["--chdir", str(cwd), "--"]
    return argv + _limited(sandbox) + ["sh", "-c", _ENTER, "sh", command]


def _parents(mounts: tuple[Mount, ...]) -> list[str]:
    """The directories that the mounts need, the outer ones first.

    Left to itself bubblewrap makes the parent of a private file private too, and /etc could not be read.
    """
    targets = [PurePosixPath(mount.target) for mount in mounts]
    needed = {parent for target in targets for parent in target.parents if parent.name}
    inside = {parent for parent in needed if any(parent.is_relative_to(target) for target in targets)}
    return sorted(str(parent) for parent in needed - inside)


def unsandboxed(sandbox: Sandbox, *, env_file: Path, cwd: PurePosixPath, command: str) -> list[str]:
    """``command`` as a plain child: another uid where the builder is root, and limits where there are any."""
    # Where a container's memory limit is reached, the kernel is to end the commands and not the builder.
    enter = '{ echo 1000 >/proc/self/oom_score_adj; } 2>/dev/null; . "$2" && cd "$3" && exec sh -c "$1"'
    return [*_limited(sandbox), "sh", "-c", enter, "sh", command, str(env_file), str(cwd)]


def _limited(sandbox: Sandbox) -> list[str]:
    argv = ["nice", "-n", str(NICENESS)]
    if sandbox.tools.prlimit:
        argv += [sandbox.tools.prlimit, f"--nproc={sandbox.processes}", f"--fsize={FILE_BYTES}"]
        argv += ["--core=0", f"--nofile={OPEN_FILES}", "--"]
    if sandbox.uid is not None and sandbox.tools.setpriv:
        # Root of a user namespace would be exempt from the process limit and own /proc/sys, so a builder
        # that is root makes no user namespace and becomes somebody else instead.
        argv += [sandbox.tools.setpriv, f"--reuid={sandbox.uid}", f"--regid={sandbox.uid}", "--clear-groups"]
        argv += ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"]
    return argv
