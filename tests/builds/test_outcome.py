"""What a builder's end means."""

from dataclasses import replace

import pytest

from scalemesh.builds.outcome import LOST, RETRY_AFTER, Cancel, Fail, Outcome, Publish, Retry, decide_outcome
from scalemesh.db.queue import BuildFacts
from scalemesh.logs.archive import BuildResult
from scalemesh.model import Failure

FACTS = BuildFacts(commit="c" * 40, commit_message="One", framework="vite", files=3, bytes=70)
BROKEN = Failure("install_failed", "npm failed.", "Look at it.")
AWAY = Failure("store_unavailable", "The store is away.", "Deploy again.")
READY = BuildResult(1, 0, "c" * 40, "One", "vite", 3, 70, None)
FAILED = replace(READY, exit=1, failure=BROKEN)
REFUSED = replace(READY, exit=2, failure=BROKEN)
OURS = replace(READY, exit=3, failure=AWAY)
STOPPED = replace(READY, exit=3, failure=Failure("server_lost", "Gone.", "Wait."))

SOON, LATER = RETRY_AFTER[1], RETRY_AFTER[2]

TABLE: list[tuple[str, BuildResult | None, int, bool, Outcome]] = [
    ("a whole upload", READY, 1, False, Publish(FACTS)),
    ("a failed command", FAILED, 1, False, Fail(BROKEN, FACTS)),
    ("refused input", REFUSED, 1, False, Fail(BROKEN, FACTS)),
    ("a failure on the last attempt", replace(FAILED, attempt=3), 3, False, Fail(BROKEN, FACTS)),
    ("a lost builder", None, 1, False, Retry(SOON)),
    ("a builder lost again", None, 2, False, Retry(LATER)),
    ("a builder lost three times", None, 3, False, Fail(LOST, BuildFacts())),
    ("more attempts than there should be", None, 7, False, Fail(LOST, BuildFacts())),
    ("the word of an earlier attempt", READY, 2, False, Retry(LATER)),
    ("the word of an earlier attempt on the last", FAILED, 3, False, Fail(LOST, BuildFacts())),
    ("our failure", OURS, 1, False, Retry(SOON)),
    ("our failure on the last attempt", replace(OURS, attempt=3), 3, False, Fail(AWAY, FACTS)),
    ("an interruption", STOPPED, 1, False, Retry(SOON)),
    ("an interruption on the last attempt", replace(STOPPED, attempt=3), 3, False, Fail(LOST, FACTS)),
    ("a cancel", STOPPED, 1, True, Cancel(FACTS)),
    ("a cancel of a lost builder", None, 3, True, Cancel(BuildFacts())),
    ("a cancel after the upload was whole", READY, 1, True, Cancel(FACTS)),
    ("a cancel after the build had failed", FAILED, 1, True, Cancel(FACTS)),
]


@pytest.mark.parametrize(
    ("result", "attempt", "canceled", "outcome"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_outcome_of(result: BuildResult | None, attempt: int, canceled: bool, outcome: Outcome) -> None:
    assert decide_outcome(result, attempt=attempt, canceled=canceled) == outcome


def test_a_failure_without_a_reason_still_has_a_sentence() -> None:
    outcome = decide_outcome(replace(FAILED, failure=None), attempt=1, canceled=False)
    assert isinstance(outcome, Fail)
    assert outcome.failure.code == "build_failed"


GREEDY = Failure("out_of_memory", "Too much.", "Need less.")
EXPLAINED: list[tuple[str, BuildResult | None, bool, Outcome]] = [
    ("a builder without a last word", None, False, Fail(GREEDY, BuildFacts())),
    ("a command that failed", FAILED, False, Fail(GREEDY, FACTS)),
    ("a failure that the builder knows more of", replace(FAILED, failure=AWAY), False, Fail(AWAY, FACTS)),
    ("a whole upload", READY, False, Publish(FACTS)),
    ("a cancel", None, True, Cancel(BuildFacts())),
]


@pytest.mark.parametrize(
    ("result", "canceled", "outcome"), [row[1:] for row in EXPLAINED], ids=[row[0] for row in EXPLAINED]
)
def test_what_the_launcher_knows_of(result: BuildResult | None, canceled: bool, outcome: Outcome) -> None:
    assert decide_outcome(result, attempt=1, canceled=canceled, explanation=GREEDY) == outcome
