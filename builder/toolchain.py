"""Node.js, Python and the package manager for one build, and the environment its commands run in."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from builder.contract import Contract
from builder.host import NODE_VIEW, Node

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"

_QUIET = {
    "ADBLOCK": "1",
    "ASTRO_TELEMETRY_DISABLED": "1",
    "COREPACK_ENABLE_DOWNLOAD_PROMPT": "0",
    "DISABLE_OPENCOLLECTIVE": "1",
    "NEXT_TELEMETRY_DISABLED": "1",
    "NUXT_TELEMETRY_DISABLED": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_PROGRESS_BAR": "off",
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_update_notifier": "false",
}
"""What tools print or send that nobody who reads a build log asked for."""

_FAST = {
    # Node.js would write it to a /tmp that is new and goes with the build: 170 files for a small Vite.
    "NODE_DISABLE_COMPILE_CACHE": "1",
    # A build imports a small part of what it installs, and Python compiles that by itself.
    "PIP_NO_COMPILE": "1",
}
"""Against work that a single build gets nothing from."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where things are as the commands see them (``Runner.view``)."""

    view: PurePosixPath
    root_directory: PurePosixPath
    node_bin: PurePosixPath | None
    """``None`` where node is the system's, on ``SYSTEM_PATH`` already."""
    has_venv: bool = False

    @property
    def venv(self) -> PurePosixPath:
        return self.view / "tools/venv"

    def search_path(self) -> str:
        """The dependencies' programs first, those of the root directory before those above it."""
        repo = self.view / "repo"
        directories = [self.root_directory, *self.root_directory.parents]
        modules = [str(repo / directory / "node_modules/.bin") for directory in directories]
        tools = [str(self.view / "tools/bin")]
        node = [str(self.node_bin)] if self.node_bin is not None else []
        venv = [str(self.venv / "bin")] if self.has_venv else []
        return ":".join([*dict.fromkeys(modules), *venv, *tools, *node, SYSTEM_PATH])


def node_bin(node: Node, sandboxed: bool) -> PurePosixPath | None:
    """The directory of ``node`` as commands see it."""
    if node.prefix is None:
        return None
    return PurePosixPath(NODE_VIEW if sandboxed else node.prefix) / "bin"


def link_npm(tools_bin: Path, bin_directory: PurePosixPath | None) -> None:
    """Makes ``npm`` and ``npx`` in ``tools_bin`` for a node whose own are copies torn from their library.

    A wheel holds no symbolic links, so its ``bin/npm`` looks for its library in the wrong place.
    """
    if bin_directory is None:
        return
    for name in ("npm", "npx"):
        (tools_bin / name).symlink_to(bin_directory.parent / f"lib/node_modules/npm/bin/{name}-cli.js")


def is_on_system_path(program: str) -> bool:
    return shutil.which(program, path=SYSTEM_PATH) is not None


def command_environment(
    contract: Contract,
    paths: Paths,
    network: Mapping[str, str],
    *,
    commit: str,
    branch: str,
    tmp: PurePosixPath,
) -> dict[str, str]:
    """All the variables of a user's command: ours, the way to the network, then the project's own."""
    venv = {"VIRTUAL_ENV": str(paths.venv)} if paths.has_venv else {}
    return {
        "CI": "true",
        "FORCE_COLOR": "1",
        "LANG": "C.UTF-8",
        **_QUIET,
        **_FAST,
        **network,
        **contract.build_env,
        "HOME": str(paths.view / "home"),
        "PATH": paths.search_path(),
        **venv,
        "TMPDIR": str(tmp),
        "SCALEMESH": "1",
        "SCALEMESH_BRANCH": branch,
        "SCALEMESH_COMMIT": commit,
        "SCALEMESH_DEPLOYMENT_ID": contract.deployment_id,
        "SCALEMESH_URL": contract.site_url or "",
    }
