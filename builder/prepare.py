"""Makes everything ready in which the user's commands run: tool chain, sandbox, environment."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from builder.clone import Commit
from builder.contract import Contract, SandboxMode
from builder.detect import Plan
from builder.errors import BuildError, Code, ExitStatus
from builder.host import Node, Python, find_python, find_tools, system_mounts
from builder.log import BuildLog, Phase
from builder.node_version import choose_node
from builder.passthrough import certificate_paths, network_environment
from builder.presets import COMMAND
from builder.run import Runner
from builder.sandbox import INSIDE_UID, Sandbox
from builder.toolchain import (
    Paths,
    command_environment,
    is_on_system_path,
    link_npm,
    node_bin,
)
from builder.workspace import Workspace


async def prepare_runner(
    contract: Contract,
    environ: Mapping[str, str],
    workspace: Workspace,
    plan: Plan,
    commit: Commit,
    nodes: Sequence[Node],
    log: BuildLog,
) -> tuple[Runner, dict[str, str], Node | None]:
    """What runs the plan's commands, the environment to run them in, and the Node.js that is in it.

    ``nodes`` are those of this machine. The checkout belongs to the commands' uid afterwards.

    Raises ``BuildError`` (``tool_missing``, ``node_version_unavailable``).
    """
    sandboxed = contract.sandbox is SandboxMode.BWRAP
    _require_program(plan)
    node = _node(plan, nodes, log)
    python = await _python(plan, log)
    sandbox = make_sandbox(
        workspace,
        build_uid=contract.build_uid,
        processes=contract.limits.processes,
        shown=certificate_paths(environ),
        node=node,
        python=python,
    )
    uid = sandbox.uid
    # The first process of a pid namespace is a container's, and the container is the sandbox.
    if not sandboxed and os.getpid() != 1:
        log.say(
            Phase.INSTALL,
            "WARNING: there is no sandbox. The build's commands can read and change what "
            f"{f'uid {uid}' if uid is not None else 'the user who runs this server'} can.",
        )
    runner = Runner(
        contract.sandbox,
        sandbox,
        workspace,
        contract.limits.memory_bytes,
        log,
        python.program if python is not None else None,
    )
    bin_directory = node_bin(node, sandboxed) if node is not None else None
    link_npm(workspace.tools / "bin", bin_directory)
    if uid is not None:
        workspace.hand_over(uid)
    env = command_environment(
        contract,
        Paths(runner.view, contract.root_directory, bin_directory, has_venv=python is not None),
        network_environment(environ),
        commit=commit.sha,
        branch=commit.branch,
        tmp=PurePosixPath("/tmp" if sandboxed else workspace.tmp),  # noqa: S108
    )
    return runner, env, node


def make_sandbox(
    workspace: Workspace,
    *,
    build_uid: int,
    processes: int,
    shown: tuple[Path, ...],
    node: Node | None,
    python: Python | None,
) -> Sandbox:
    """How commands in ``workspace`` are contained. ``shown`` are files that they see at their own path.

    Raises ``BuildError`` (``tool_missing``).
    """
    uid = build_uid if os.geteuid() == 0 else None
    tools = find_tools()
    if uid is not None and tools.setpriv is None:
        raise BuildError(
            Code.TOOL_MISSING,
            "The builder is root and has no setpriv, so it can't run the build as another user.",
            "Install util-linux on the server, or run the builder as an ordinary user.",
            status=ExitStatus.INFRASTRUCTURE,
        )
    passwd, group = _write_accounts(workspace, uid if uid is not None else INSIDE_UID)
    return Sandbox(
        tools=tools,
        mounts=system_mounts(passwd, group, shown, node, python),
        build_directory=workspace.build,
        tmp_directory=workspace.tmp,
        uid=uid,
        processes=processes,
    )


def _node(plan: Plan, nodes: Sequence[Node], log: BuildLog) -> Node | None:
    if plan.manager is None and plan.preset is not COMMAND:
        # A generator of another language; its own command may call node all the same.
        return nodes[0] if nodes else None
    if plan.manager is None and not nodes:
        # The project's own command over a repository without package.json need not be JavaScript.
        return None
    node, why = choose_node(plan.node_wanted, nodes)
    log.say(Phase.DETECT, f"Node.js: {node.version} ({why})")
    return node


async def _python(plan: Plan, log: BuildLog) -> Python | None:
    if plan.python is None:
        return None
    python = await find_python()
    if python is None:
        raise BuildError(
            Code.TOOL_MISSING,
            f"This builder has no Python with venv and ensurepip, which {plan.preset.title} needs.",
            "Install python3 and python3-venv on the server.",
        )
    where = "the system's" if python.prefix is None else "the builder's own"
    log.say(Phase.DETECT, f"Python: {python.version} ({where})")
    return python


def _require_program(plan: Plan) -> None:
    if plan.program is not None and not is_on_system_path(plan.program):
        raise BuildError(
            Code.TOOL_MISSING,
            f"This builder has no {plan.program}, which {plan.preset.title} needs.",
            f"Install {plan.program} on the server, in /usr/local/bin, or set a build command without it.",
        )


def _write_accounts(workspace: Workspace, uid: int) -> tuple[Path, Path]:
    """The sandbox's passwd and group: tools want to know a name for who they are."""
    passwd, group = workspace.etc / "passwd", workspace.etc / "group"
    passwd.write_text(
        "root:x:0:0:root:/root:/bin/sh\n"
        f"build:x:{uid}:{uid}:build:/workspace/home:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
    )
    group.write_text(f"root:x:0:\nbuild:x:{uid}:\nnogroup:x:65534:\n")
    return passwd, group
