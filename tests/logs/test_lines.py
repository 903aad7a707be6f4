"""Batches and gaps say exactly which lines there are."""

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from scalemesh.logs.lines import BATCH_MAX_CHARS, Batch, Gap, line_from, line_shape, with_gaps
from tests.logs.build import line, lines

SEQS = st.sets(st.integers(1, 60)).map(sorted)


@given(seqs=SEQS, after=st.integers(0, 70), batch_lines=st.integers(1, 7))
def test_batches_and_gaps_are_the_lines_after_and_the_numbers_missing_between(
    seqs: Sequence[int], after: int, batch_lines: int
) -> None:
    events = list(with_gaps([line(seq) for seq in seqs], after, batch_lines=batch_lines))

    batches = [event for event in events if isinstance(event, Batch)]
    gaps = [event for event in events if isinstance(event, Gap)]
    wanted = [seq for seq in seqs if seq > after]
    assert [each.seq for batch in batches for each in batch.lines] == wanted
    missing = set(range(after + 1, wanted[-1] + 1)) - set(wanted) if wanted else set()
    assert {seq for gap in gaps for seq in range(gap.first, gap.last + 1)} == missing
    # One after the other, without overlap, and no batch goes over a gap or is too long.
    cursor = after
    for event in events:
        assert (event.first, event.last >= event.first) == (cursor + 1, True)
        cursor = event.last
    for batch in batches:
        assert batch.last - batch.first + 1 == len(batch.lines) <= batch_lines


@given(seqs=SEQS.filter(bool), after=st.integers(0, 70))
def test_after_leaves_what_is_newer(seqs: Sequence[int], after: int) -> None:
    rest = Batch([line(seq) for seq in seqs]).after(after)
    assert [each.seq for each in rest.lines] if rest else [seq for seq in seqs if seq > after] == []
    assert rest is None or rest.lines


def test_a_batch_is_cut_before_it_is_too_much_for_one_frame() -> None:
    long = [line(seq, "x" * 8192) for seq in range(1, 101)]
    batches = [event for event in with_gaps(long, 0) if isinstance(event, Batch)]
    assert [each for batch in batches for each in batch.lines] == long
    assert max(len(each.lines) for each in batches) == BATCH_MAX_CHARS // 8192


def test_lines_that_come_again_are_dropped() -> None:
    assert list(with_gaps([*lines(1, 3), *lines(2, 4)], 0)) == [Batch(lines(1, 4))]


@given(text=st.text())
def test_a_line_is_the_same_after_its_journey(text: str) -> None:
    sent = line(7, text)
    assert line_from(json.loads(json.dumps(line_shape(sent)))) == sent
    assert json.loads(Batch([sent]).frame) == {"type": "lines", "lines": [line_shape(sent)]}
