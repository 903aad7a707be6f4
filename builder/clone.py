"""Fetches one commit of the repository. git runs nothing of it: no hook, no filter, no submodule."""

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.contract import Contract, is_sha
from builder.errors import BuildError, Code, ExitStatus
from builder.git import SAFE_CONFIG, Git, git_environment, require_size
from builder.giturl import RefusedURL, RepoURL, parse_repo_url
from builder.log import BuildLog, Phase
from builder.process import Finished
from builder.route import UnknownHost, find_route

MAX_MESSAGE_CHARS = 200

_NOT_FOUND = re.compile(
    r"not found|does not exist|does not appear to be a git repository|could not read (?:Username|Password)"
    r"|Authentication failed|terminal prompts disabled|error: 40[134]\b",
    re.IGNORECASE,
)
_NO_REF = re.compile(
    r"Remote branch .* not found|couldn't find remote ref|not our ref|remote error: upload-pack: not our ref"
)
_REDIRECT = re.compile(
    r"error: 30[12378]\b|unable to update url base from redirection|redirect", re.IGNORECASE
)
_EMPTY = re.compile(r"cloned an empty repository")
_OURS = re.compile(
    r"error: 5\d\d\b|timed out|Connection reset|Operation too slow|early EOF|SSL_ERROR_SYSCALL"
)
_TOO_LARGE = re.compile(r"File too large|file size limit|exceeds maximum allowed size", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Commit:
    """``message`` is the first line, at most 200 characters; ``branch`` what was asked for or the default."""

    sha: str
    message: str
    branch: str


async def clone(contract: Contract, repo: Path, log: BuildLog, environ: Mapping[str, str]) -> Commit:
    """Checks ``contract.git_ref`` out into ``repo``, which must not exist.

    Raises ``BuildError``, with status REFUSED where the address is not one that we go to.
    """
    try:
        url = parse_repo_url(
            contract.repo_url, allow_local=contract.allow_local_repos, allow_file=contract.allow_file_repo
        )
        route = await find_route(url, environ, allow_local=contract.allow_local_repos)
    except RefusedURL as error:
        raise BuildError(
            Code.REPOSITORY_REFUSED,
            f"The repository address {error}.",
            "Use the https:// address of a repository that anybody can read.",
            status=ExitStatus.REFUSED,
        ) from error
    except UnknownHost as error:
        raise _unknown_host(url, error) from error
    env = git_environment(url, route, environ, token=contract.git_token)
    git = Git((*SAFE_CONFIG, *route.config), env, contract.limits, log)
    wants_sha = contract.git_ref is not None and is_sha(contract.git_ref)
    fetched = await git.run(*fetch_arguments(url.url, contract.git_ref, repo))
    if fetched.status != 0 and _REDIRECT.search("\n".join(fetched.tail)) and not url.url.endswith(".git"):
        # GitLab redirects to this spelling, and redirects are not followed.
        fetched = await git.run(*fetch_arguments(f"{url.url.rstrip('/')}.git", contract.git_ref, repo))
    if wants_sha and contract.git_ref is not None and fetched.status == 0:
        fetched = await git.run(*fetch_sha_arguments(url.url, contract.git_ref, repo))
    _require_fetched(fetched, contract)
    revision = "FETCH_HEAD" if wants_sha else "HEAD"
    submodules = await require_size(git, repo, revision)
    if submodules:
        log.say(Phase.CLONE, f"{submodules} submodules are not fetched: only the repository itself is.")
    _require_done(await git.run("-C", str(repo), "reset", "--quiet", "--hard", revision))
    described = await git.run("-C", str(repo), "log", "-1", "--no-show-signature", "--format=%H%n%s")
    _require_done(described)
    sha, message = (*described.tail, "")[:2]
    return Commit(sha, message[:MAX_MESSAGE_CHARS], contract.git_ref or _head_branch(repo))


def fetch_arguments(url: str, ref: str | None, repo: Path) -> list[str]:
    """git's arguments that make ``repo``: with a branch or tag fetched; for a sha an empty one."""
    if ref is not None and is_sha(ref):
        return ["init", "--quiet", "--template=", "--", str(repo)]
    argv = ["clone", "--no-checkout", "--depth=1", "--single-branch", "--no-tags", "--template="]
    argv += ["--no-local", "--quiet"]
    if ref is not None:
        argv += [f"--branch={ref}"]
    return [*argv, "--", url, str(repo)]


def fetch_sha_arguments(url: str, sha: str, repo: Path) -> list[str]:
    return ["-C", str(repo), "fetch", "--quiet", "--depth=1", "--no-tags", "--", url, sha]


def _head_branch(repo: Path) -> str:
    """The default branch's name, as git wrote it when it cloned."""
    head = (repo / ".git/HEAD").read_text(errors="replace").strip()
    return head.removeprefix("ref: refs/heads/")


def _require_fetched(fetched: Finished, contract: Contract) -> None:
    said = "\n".join(fetched.tail)
    if _EMPTY.search(said):
        raise BuildError(
            Code.REPOSITORY_EMPTY,
            "The repository is empty: it has no commit yet.",
            "Push a first commit, then deploy again.",
        )
    if fetched.status == 0:
        return
    if contract.git_ref is not None and _NO_REF.search(said):
        raise BuildError(
            Code.BRANCH_NOT_FOUND,
            f"The repository has no branch, tag or commit {contract.git_ref}.",
            "Correct the branch in the project's settings, or push it.",
        )
    if _NOT_FOUND.search(said):
        raise BuildError(
            Code.REPOSITORY_NOT_FOUND,
            f"There is no repository at {contract.repo_url}, or it is private.",
            "Check the address. For a private repository, save an access token for it under Settings."
            if contract.git_token is None
            else "Check the address, and that the project's access token may read it and has not expired.",
        )
    _require_done(fetched)


def _require_done(finished: Finished) -> None:
    """Raises the ``BuildError`` for a git command that failed in no more special way."""
    if finished.status == 0:
        return
    said = "\n".join(finished.tail)
    fatal = [line for line in finished.tail if line.startswith(("fatal:", "error:", "remote:"))]
    reason = (fatal or [line for line in finished.tail if line.strip()] or [f"exit {finished.status}"])[0]
    if _TOO_LARGE.search(said) or finished.status == -signal.SIGXFSZ:
        raise BuildError(
            Code.LIMIT_REPOSITORY,
            "The repository is larger than this server fetches.",
            "Take large files out of the repository, or raise MAX_REPO_BYTES on the server.",
        )
    ours = _OURS.search(said) is not None
    raise BuildError(
        Code.CLONE_FAILED,
        f"git could not fetch the repository: {reason}",
        "Deploy again in a minute." if ours else "Check that `git clone` of the address works elsewhere.",
        status=ExitStatus.INFRASTRUCTURE if ours else ExitStatus.BUILD_FAILED,
    )


def _unknown_host(url: RepoURL, error: UnknownHost) -> BuildError:
    if error.temporary:
        return BuildError(
            Code.CLONE_FAILED,
            f"The name {url.host} could not be looked up just now.",
            "Deploy again in a minute.",
            status=ExitStatus.INFRASTRUCTURE,
        )
    return BuildError(
        Code.REPOSITORY_NOT_FOUND,
        f"There is no host {url.host}, so there is no repository at {url.url}.",
        "Check the spelling of the repository's address.",
    )
