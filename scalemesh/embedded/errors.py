"""What can keep the embedded servers from starting. Each sentence says what to do about it."""

from pathlib import Path

from scalemesh.errors import ScaleMeshError


class EmbeddedServerError(ScaleMeshError):
    """Base of this room's errors: the default on one machine can't be had as things stand."""

    code = "embedded_server"


class DataDirInUse(EmbeddedServerError):
    """``pid`` is None in the moment in which the other process has the lock but has not signed it."""

    code = "data_dir_in_use"

    def __init__(self, path: Path, pid: int | None) -> None:
        holder = "Another Scale Mesh" if pid is None else f"Another Scale Mesh (process {pid})"
        super().__init__(f"{holder} is using {path}. Stop it, or set DATA_DIR to another directory.")
        self.pid = pid


class DataDirUnusable(EmbeddedServerError):
    code = "data_dir_unusable"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} can't be used: {reason}. Set DATA_DIR to a directory that belongs to this user."
        )


class ServerNotInstalled(EmbeddedServerError):
    """The wheel that holds the server is missing, or has no build for this machine."""

    code = "server_not_installed"

    def __init__(self, server: str, setting: str) -> None:
        super().__init__(
            f"{server} is not installed. Run `uv sync --all-extras`, or set {setting} to a server of yours."
        )


class ServerDidNotStart(EmbeddedServerError):
    """``log`` is the end of what the server said."""

    code = "server_did_not_start"

    def __init__(self, server: str, reason: str, log: str) -> None:
        said = f" It said:\n{log}" if log else ""
        super().__init__(f"{server} did not start: {reason}.{said}")
