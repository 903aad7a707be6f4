import itertools
import json
from collections.abc import Sequence

from builder.kept import HEAD_BYTES, HEAD_LINES, TAIL_BYTES, TAIL_LINES
from builder.log import WAITS, BuildLog, Line, Origin, Phase, Stream


class Collected:
    """A live log that remembers: what a viewer saw."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def send(self, lines: Sequence[Line]) -> None:
        self.lines += lines

    async def close(self, timeout_s: float, *, archived_attempt: int | None = None) -> None:
        pass


def make_log(live: Collected, first_seq: int = 1) -> BuildLog:
    return BuildLog(live, first_seq=first_seq, mask=lambda text: text.replace("secret", "***"))


def write(log: BuildLog, count: int, text: str = "") -> None:
    log.write(Phase.BUILD, Stream.STDOUT, [text] * count)


def test_lines_are_numbered_and_sent() -> None:
    live = Collected()
    log = make_log(live, first_seq=7)
    log.say(Phase.CLONE, "a secret\x1b[2J")
    write(log, 2, "b")
    log.finish()
    assert [(line.seq, line.origin.stream, line.origin.phase, line.text) for line in live.lines] == [
        (7, "system", "clone", "a ***"),
        (8, "stdout", "build", "b"),
        (9, "stdout", "build", "b"),
    ]
    assert list(log.lines()) == live.lines


def test_a_line_is_json_of_the_contract() -> None:
    line = Line(3, Origin("2030-01-31T12:00:00.000Z", Stream.STDERR, Phase.INSTALL), 'q"\\\t\x1b[1mé')
    assert json.loads(line.to_json()) == {
        "seq": 3,
        "time": "2030-01-31T12:00:00.000Z",
        "stream": "stderr",
        "phase": "install",
        "text": 'q"\\\t\x1b[1mé',
    }
    assert json.loads(line.to_record()) == {"type": "line"} | json.loads(line.to_json())


def test_too_many_bytes_keep_the_beginning_the_end_and_one_marker() -> None:
    live = Collected()
    log = make_log(live)
    write(log, 10_000, "x" * 1000)
    log.say(Phase.BUILD, "the end")
    log.finish()
    lines = list(log.lines())
    size = sum(line.text_bytes for line in lines)
    assert HEAD_BYTES + TAIL_BYTES - 2000 < size < HEAD_BYTES + TAIL_BYTES + 200
    assert lines[0].seq == 1
    assert lines[-1].text == "the end"
    markers = [index for index, line in enumerate(lines) if "left out" in line.text]
    assert len(markers) == 1
    gaps = [
        (before.seq, after.seq) for before, after in itertools.pairwise(lines) if after.seq != before.seq + 1
    ]
    assert gaps == [(lines[markers[0] - 1].seq, lines[markers[0]].seq)]


def test_too_many_lines_are_cut_too() -> None:
    live = Collected()
    log = make_log(live)
    write(log, 1_000_000)
    log.finish()
    assert len(list(log.lines())) == HEAD_LINES + 1 + TAIL_LINES


def test_a_viewer_sees_each_line_once_in_order_and_the_end() -> None:
    live = Collected()
    log = make_log(live)
    write(log, 9_000, "x" * 1000)
    log.say(Phase.BUILD, "the end")
    log.finish()
    seqs = [line.seq for line in live.lines]
    assert seqs == sorted(set(seqs))
    assert live.lines[-1].text == "the end"
    kept = {line.seq for line in log.lines()}
    assert kept - set(seqs) == set()


def test_a_viewer_is_told_once_that_what_follows_is_shown_at_the_end() -> None:
    live = Collected()
    log = make_log(live)
    write(log, 9_000, "x" * 1000)
    told = [line for line in live.lines if line.text == WAITS]
    assert told == live.lines[-1:]
    before = len(live.lines)
    write(log, 1_000, "y" * 1000)
    log.say(Phase.BUILD, "the end")
    assert len(live.lines) == before
    log.finish()
    assert [line.text for line in live.lines[before:]].count(WAITS) == 0
    # By then it has left the log with the lines around it, and the marker alone says what was cut.
    assert WAITS not in [line.text for line in log.lines()]


def test_a_log_that_is_cut_a_little_needs_no_gap_for_its_viewer() -> None:
    live = Collected()
    log = make_log(live)
    write(log, 4_200, "x" * 1000)
    log.finish()
    assert [line.seq for line in live.lines] == list(range(1, 4_202))


def test_lines_are_told_by_their_numbers_where_the_builder_says_something_between_them() -> None:
    live = Collected()
    log = make_log(live)
    seqs = log.write(Phase.BUILD, Stream.STDOUT, [f"{number} ".ljust(1000, "x") for number in range(4_300)])
    log.finish()
    texts = {line.seq: line.text for line in live.lines}
    assert [texts[seq].split(" ")[0] for seq in seqs] == [str(number) for number in range(4_300)]
    assert WAITS in texts.values()
