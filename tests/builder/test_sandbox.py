from pathlib import Path, PurePosixPath

from builder.sandbox import Mount, Sandbox, Tools, sandboxed, unsandboxed

TOOLS = Tools("/usr/bin/bwrap", "/usr/bin/prlimit", "/usr/bin/setpriv")
MOUNTS = (
    Mount("--ro-bind", "/usr", "/usr"),
    Mount("--symlink", "usr/bin", "/bin"),
    Mount("--ro-bind", "/etc/ssl/certs", "/etc/ssl/certs"),
    Mount("--ro-bind", "/venv/node", "/opt/node"),
)
LIMITS = [
    "nice",
    "-n",
    "5",
    "/usr/bin/prlimit",
    "--nproc=512",
    "--fsize=4294967296",
    "--core=0",
    "--nofile=8192",
    "--",
]
BECOME = [
    "/usr/bin/setpriv",
    "--reuid=210000",
    "--regid=210000",
    "--clear-groups",
    "--inh-caps=-all",
    "--bounding-set=-all",
    "--no-new-privs",
    "--",
]
VIEW = [
    "/usr/bin/bwrap",
    "--dir",
    "/etc",
    "--dir",
    "/etc/ssl",
    "--dir",
    "/opt",
    "--ro-bind",
    "/usr",
    "/usr",
    "--symlink",
    "usr/bin",
    "/bin",
    "--ro-bind",
    "/etc/ssl/certs",
    "/etc/ssl/certs",
    "--ro-bind",
    "/venv/node",
    "/opt/node",
    "--ro-bind",
    "/w/etc/env-build",
    "/etc/scalemesh-env",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--perms",
    "1777",
    "--size",
    "268435456",
    "--tmpfs",
    "/dev/shm",
    "--bind",
    "/w/build",
    "/workspace",
    "--bind",
    "/w/tmp",
    "/tmp",
    "--remount-ro",
    "/dev",
    "--remount-ro",
    "/",
]
NAMESPACES = [
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--hostname",
    "build",
    "--die-with-parent",
    "--new-session",
    "--chdir",
    "/workspace/repo/app",
    "--",
]


def sandbox(uid: int | None, tools: Tools = TOOLS) -> Sandbox:
    return Sandbox(tools, MOUNTS, Path("/w/build"), Path("/w/tmp"), uid, processes=512)


def argv_of(uid: int | None) -> list[str]:
    return sandboxed(
        sandbox(uid),
        env_file=Path("/w/etc/env-build"),
        cwd=PurePosixPath("/workspace/repo/app"),
        command="npm run build && echo 'done'",
    )


SHELL = ["sh", "-c", '. /etc/scalemesh-env && exec sh -c "$1"', "sh", "npm run build && echo 'done'"]


def test_an_ordinary_user_gets_a_user_namespace() -> None:
    user = ["--unshare-user", "--uid", "1000", "--gid", "1000"]
    assert argv_of(None) == VIEW + user + NAMESPACES + LIMITS + SHELL


def test_root_becomes_somebody_else_without_one() -> None:
    assert argv_of(210_000) == VIEW + NAMESPACES + LIMITS + BECOME + SHELL


def test_without_a_sandbox_the_limits_and_the_other_uid_stay() -> None:
    argv = unsandboxed(
        sandbox(210_000), env_file=Path("/w/env"), cwd=PurePosixPath("/w/repo"), command="make"
    )
    assert argv == LIMITS + BECOME + [
        "sh",
        "-c",
        '{ echo 1000 >/proc/self/oom_score_adj; } 2>/dev/null; . "$2" && cd "$3" && exec sh -c "$1"',
        "sh",
        "make",
        "/w/env",
        "/w/repo",
    ]


def test_a_machine_without_these_tools_runs_the_command_plainly() -> None:
    argv = unsandboxed(
        sandbox(None, Tools(None, None, None)),
        env_file=Path("/w/env"),
        cwd=PurePosixPath("/w/repo"),
        command="make",
    )
    assert argv == [
        "nice",
        "-n",
        "5",
        "sh",
        "-c",
        '{ echo 1000 >/proc/self/oom_score_adj; } 2>/dev/null; . "$2" && cd "$3" && exec sh -c "$1"',
        "sh",
        "make",
        "/w/env",
        "/w/repo",
    ]
