"""What a builder's end means for its deployment."""

from dataclasses import dataclass
from datetime import timedelta

from scalemesh.db.queue import MAX_ATTEMPTS, BuildFacts
from scalemesh.logs.archive import BuildResult
from scalemesh.model import Failure

# By the attempt that broke. A Redis or a builder that was killed is back in a second; what takes longer than
# these together is an outage, of which people should hear soon.
RETRY_AFTER = {1: timedelta(seconds=1), 2: timedelta(seconds=5)}

LOST = Failure(
    code="builder_lost",
    message=f"The builder was lost {MAX_ATTEMPTS} times before it could finish.",
    hint="This is the platform's fault, not your project's. Deploy again; if it goes on, tell whoever runs "
    "this server.",
)
# What a builder says that was told to stop: no reason for anything.
_INTERRUPTED = ("canceled", "server_lost")
# A command of the user's ended with a status that is not 0, and the builder knows no more than that.
_UNEXPLAINED_BY_BUILDER = ("build_failed", "install_failed")
_UNEXPLAINED = Failure(
    code="build_failed",
    message="The build failed.",
    hint="The end of the log says why.",
)

WAITED_TOO_LONG = Failure(
    code="queue_timeout",
    message="No builder was free in time.",
    hint="Deploy again. If it goes on, whoever runs this server can raise BUILD_CONCURRENCY.",
)


@dataclass(frozen=True, slots=True)
class Publish:
    facts: BuildFacts


@dataclass(frozen=True, slots=True)
class Fail:
    failure: Failure
    facts: BuildFacts


@dataclass(frozen=True, slots=True)
class Cancel:
    facts: BuildFacts


@dataclass(frozen=True, slots=True)
class Retry:
    """Infrastructure broke: the deployment goes back into the queue, to be tried again ``after`` that."""

    after: timedelta


Outcome = Publish | Fail | Cancel | Retry


def decide_outcome(
    result: BuildResult | None, *, attempt: int, canceled: bool, explanation: Failure | None = None
) -> Outcome:
    """``result`` is what the archive says, of this attempt or of one before it, or None.

    The builder writes it at its very end, so without one it was lost, whatever its exit status. A cancel
    that came too late, after the upload was whole, is still a cancel: nothing went live. ``explanation`` is
    the launcher's own for the end, and goes before a failure that the builder could not explain.
    """
    if result is not None and result.attempt != attempt:
        result = None
    facts = _facts(result)
    if canceled:
        return Cancel(facts)
    if result is not None and result.exit == 0:
        return Publish(facts)
    failure = result.failure if result else None
    if explanation is not None and (failure is None or failure.code in _UNEXPLAINED_BY_BUILDER):
        return Fail(explanation, facts)
    if result is not None and result.exit in (1, 2):
        return Fail(failure or _UNEXPLAINED, facts)
    if attempt < MAX_ATTEMPTS:
        return Retry(RETRY_AFTER[attempt])
    return Fail(LOST if failure is None or failure.code in _INTERRUPTED else failure, facts)


def _facts(result: BuildResult | None) -> BuildFacts:
    if result is None:
        return BuildFacts()
    return BuildFacts(
        commit=result.commit,
        commit_message=result.commit_message,
        framework=result.framework,
        files=result.files,
        bytes=result.bytes,
    )
