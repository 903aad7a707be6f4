"""Batches and gaps say exactly which lines there are."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemesh.logs.lines import (
    BATCH_MAX_BYTES,
    Batch,
    Gap,
    encode_json,
    line_from,
    line_shape,
    row_from,
    with_gaps,
)
from tests.logs.build import batch_of, line, lines, rows_of

SEQS = st.sets(st.integers(1, 60)).map(sorted)


@given(seqs=SEQS, after=st.integers(0, 70), batch_lines=st.integers(1, 7))
def test_batches_and_gaps_are_the_lines_after_and_the_numbers_missing_between(
    seqs: Sequence[int], after: int, batch_lines: int
) -> None:
    events = list(with_gaps(rows_of(line(seq) for seq in seqs), after, batch_lines=batch_lines))

    batches = [event for event in events if isinstance(event, Batch)]
    gaps = [event for event in events if isinstance(event, Gap)]
    wanted = [seq for seq in seqs if seq > after]
    assert [json.loads(row)["seq"] for batch in batches for row in batch.rows] == wanted
    assert [seq for batch in batches for seq in range(batch.first, batch.last + 1)] == wanted
    missing = set(range(after + 1, wanted[-1] + 1)) - set(wanted) if wanted else set()
    assert {seq for gap in gaps for seq in range(gap.first, gap.last + 1)} == missing
    # One after the other, without overlap, and no batch goes over a gap or is too long.
    cursor = after
    for event in events:
        assert (event.first, event.last >= event.first) == (cursor + 1, True)
        cursor = event.last
    for batch in batches:
        assert len(batch.rows) <= batch_lines


@given(first=st.integers(1, 9), count=st.integers(1, 9), seq=st.integers(0, 20))
def test_after_and_up_to_part_a_batch(first: int, count: int, seq: int) -> None:
    batch = batch_of(lines(first, first + count - 1))
    rest = batch.after(seq)
    expected = [each for each in range(first, first + count) if each > seq]
    assert rest == (batch_of(lines(expected[0], expected[-1])) if expected else None)
    if seq >= first:
        assert batch.up_to(seq) == batch_of(lines(first, min(seq, batch.last)))


@given(first=st.integers(1, 9), count=st.integers(1, 9), seq=st.integers(0, 20))
def test_after_leaves_the_rest_of_a_gap(first: int, count: int, seq: int) -> None:
    rest = Gap(first, first + count - 1).after(seq)
    expected = [each for each in range(first, first + count) if each > seq]
    assert rest == (Gap(expected[0], expected[-1]) if expected else None)


def test_a_batch_is_cut_before_it_is_too_much_for_one_frame() -> None:
    long = [line(seq, "x" * 8192) for seq in range(1, 101)]
    batches = [event for event in with_gaps(rows_of(long), 0) if isinstance(event, Batch)]
    assert [text for batch in batches for text in batch.texts] == [each.text for each in long]
    assert max(sum(map(len, each.rows)) for each in batches) <= BATCH_MAX_BYTES
    assert max(len(each.rows) for each in batches) == BATCH_MAX_BYTES // 8192 - 1


@pytest.mark.parametrize(("length", "head"), [(10, 2), (200, 4), (65_000, 4), (70_000, 10)])
def test_a_frame_is_its_shape_with_a_websockets_header(length: int, head: int) -> None:
    batch = batch_of([line(1, "x" * length)]) if length > 100 else Batch(1, (b"{}",))
    size = {2: batch.frame[1:2], 4: b"\x7e" + batch.frame[2:4], 10: b"\x7f" + batch.frame[2:10]}[head]
    assert batch.frame[:1] == b"\x81"
    assert (batch.frame[1:2], batch.frame[head:]) == (size[:1], batch.shape)
    assert int.from_bytes(size if head == 2 else size[1:], "big") == len(batch.shape)


def test_lines_that_come_again_are_dropped() -> None:
    assert list(with_gaps(rows_of([*lines(1, 3), *lines(2, 4)]), 0)) == [batch_of(lines(1, 4))]


@given(text=st.text())
def test_a_line_is_the_same_after_its_journey(text: str) -> None:
    sent = line(7, text)
    assert line_from(json.loads(json.dumps(line_shape(sent)))) == sent
    assert row_from(line_shape(sent)) == (7, encode_json(line_shape(sent)).encode())
    assert json.loads(batch_of([sent]).shape) == {"type": "lines", "lines": [line_shape(sent)]}
