"""What can go wrong in a build, in words for the person who pressed Deploy."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ExitStatus(IntEnum):
    """The builder's whole answer to whoever started it."""

    READY = 0
    BUILD_FAILED = 1
    """The user's repository or commands: building it again changes nothing."""
    REFUSED = 2
    """The input is not acceptable; nothing was fetched or run."""
    INFRASTRUCTURE = 3
    """Ours, or a cancel: the server may try again."""


class Code(StrEnum):
    """Stable names for programs. ``docs/builder-contract.md`` lists each with its meaning."""

    REPOSITORY_NOT_FOUND = "repository_not_found"
    REPOSITORY_EMPTY = "repository_empty"
    REPOSITORY_REFUSED = "repository_refused"
    BRANCH_NOT_FOUND = "branch_not_found"
    CLONE_FAILED = "clone_failed"
    LIMIT_REPOSITORY = "limit_repository_bytes"
    ROOT_DIRECTORY_MISSING = "root_directory_missing"
    PACKAGE_JSON_INVALID = "package_json_invalid"
    TOOL_MISSING = "tool_missing"
    NODE_VERSION_UNAVAILABLE = "node_version_unavailable"
    INSTALL_FAILED = "install_failed"
    LOCKFILE_OUT_OF_DATE = "lockfile_out_of_date"
    BUILD_FAILED = "build_failed"
    OUT_OF_MEMORY = "out_of_memory"
    WRONG_NODE = "wrong_node"
    SCRIPT_MISSING = "script_missing"
    COMMAND_NOT_FOUND = "command_not_found"
    DEPENDENCY_CONFLICT = "dependency_conflict"
    PACKAGE_UNAVAILABLE = "package_unavailable"
    NETWORK_UNREACHABLE = "network_unreachable"
    IMPORT_CASE = "import_case"
    IMPORT_NOT_FOUND = "import_not_found"
    SUBMODULE_MISSING = "submodule_missing"
    VARIABLE_MISSING = "variable_missing"
    OUTPUT_MISSING = "output_missing"
    OUTPUT_EMPTY = "output_empty"
    NEXT_EXPORT_MISSING = "next_export_missing"
    ARTIFACT_REJECTED = "artifact_rejected"
    LIMIT_FILES = "limit_files"
    LIMIT_FILE_BYTES = "limit_file_bytes"
    LIMIT_SITE_BYTES = "limit_site_bytes"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    CANCELED = "canceled"
    SERVER_LOST = "server_lost"
    STORE_UNAVAILABLE = "store_unavailable"
    INTERNAL = "internal_error"


@dataclass(frozen=True, slots=True)
class Failure:
    """``message`` is a sentence that names the thing; ``hint`` says what to do about it.

    ``line`` is the number of the log's line that shows the cause, where there is one.
    """

    code: Code
    message: str
    hint: str
    line: int | None = None


class BuildError(Exception):
    """Ends the build with ``status`` and a failure that is logged and recorded."""

    def __init__(
        self,
        code: Code,
        message: str,
        hint: str,
        *,
        status: ExitStatus = ExitStatus.BUILD_FAILED,
        line: int | None = None,
    ) -> None:
        super().__init__(message)
        self.failure = Failure(code, message, hint, line)
        self.status = status


class ContractError(Exception):
    """The environment breaks the contract. ``mistakes`` holds every one of them, a sentence each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__(" ".join(mistakes))
        self.mistakes = mistakes


class StoreError(Exception):
    """The artifact store did not take or give something. ``str(error)`` says what, for the operator."""


class NotStored(StoreError):
    """There is no object of that key."""
