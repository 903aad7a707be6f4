import itertools
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.text import CUT_MARKER, MAX_LINE_BYTES, PROGRESS_S, RAW_LINE_BYTES, LineReader, clean, cut


def unmasked(line: str) -> str:
    return line


def read(*chunks: bytes) -> list[str]:
    reader = LineReader(unmasked)
    lines = [line for chunk in chunks for line in reader.feed(chunk)]
    return lines + reader.finish()


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("plain\ttab", "plain\ttab"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[38;2;1;2;3mrgb\x1b[38:5:1m", "\x1b[38;2;1;2;3mrgb\x1b[38;5;1m"),
        ("\x1b[mx\x1b[;1mx\x1b[007mx", "\x1b[0mx\x1b[0;1mx\x1b[7mx"),
        (
            "\x1b[38:2::1:2:3mx\x1b[48:2:1:2:3mx\x1b[4:3mx\x1b[4:0m",
            "\x1b[38;2;1;2;3mx\x1b[48;2;1;2;3mx\x1b[4mx\x1b[24m",
        ),
        ("\x1b[58:5:1mx\x1b[99999mx\x1b[38:9m", "xx"),
        ("\x1b[" + "1;" * 500 + "1mx", "\x1b[" + "1;" * 15 + "1mx"),
        ("a\x1b[2Jb\x1b[Kc\x1b[1;1Hd\x1b[?25le", "abcde"),
        ("\x1b]0;title\x07a\x1b]2;title\x1b\\b", "ab"),
        ("\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07", "click"),
        ("\x1b]52;c;cm0gLXJm\x07x", "x"),
        ("\x1bPq#0\x1b\\x\x1b_apc\x1b\\y\x1b^pm\x1b\\z", "xyz"),
        ("\x1b]0;never ended", ""),
        ("\x9b31mx\x9dtitle\x9cy", "xy"),
        ("\x1bcx\x1b(By\x1b7z", "xyz"),
        ("\x1b[>4;1mx\x1b[31", "x"),
        ("a\x00b\x07c\x08d\x7fe\x85f", "abcdef"),
        ("user\u202egnp.exe\u2066x\u200f", "usergnp.exex"),
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
        ("name-\udcff", "name-\ufffd"),
    ],
)
def test_only_text_and_colours_stay(raw: str, text: str) -> None:
    assert clean(raw) == text


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (b"a\nb\r\nc", ["a", "b", "c"]),
        (b"\n\n", ["", ""]),
        (b"10%\r50%\r100%\n", ["100%"]),
        (b"working\r\x1b[Kdone\n", ["done"]),
        (b"kept\r\n\rnext\n", ["kept", "next"]),
        (b"half\r", ["half"]),
        (b"bad \xff\xc3 utf-8\n", ["bad \ufffd\ufffd utf-8"]),
        (b"", []),
    ],
)
def test_bytes_become_lines(raw: bytes, lines: list[str]) -> None:
    assert read(raw) == lines


@pytest.mark.parametrize("bar", ["\r{}%", "{}%\r"])
def test_a_progress_bar_shows_its_state_every_few_seconds_and_its_end(bar: str) -> None:
    seconds = 0.0
    reader = LineReader(unmasked, now=lambda: seconds)
    shown = []
    for percent in range(100):
        # A cut in the middle of a number is never shown.
        for piece in (bar.format(percent)[:2], bar.format(percent)[2:]):
            shown += [(seconds, line) for line in reader.feed(piece.encode())]
        seconds += PROGRESS_S / 10
    assert [at for at, _ in shown] == [PROGRESS_S * turn for turn in range(1, 10)]
    assert all(
        int(line.removesuffix("%")) == pytest.approx(at * 10 / PROGRESS_S, abs=1) for at, line in shown
    )
    assert reader.feed(b"\rdone\n") == ["done"]
    assert reader.feed(b"\rnext") == []


def test_a_line_that_is_not_written_over_waits_for_its_end() -> None:
    seconds = 0.0
    reader = LineReader(unmasked, now=lambda: seconds)
    for piece in (b"compiling", b" still"):
        assert reader.feed(piece) == []
        seconds += PROGRESS_S * 2
    assert reader.feed(b" done\r\n") == ["compiling still done"]


def test_a_state_is_masked_and_told_once() -> None:
    seconds = 0.0
    reader = LineReader(lambda line: line.replace("secret", "***"), now=lambda: seconds)
    reader.feed(b"\rwith secret")
    seconds += PROGRESS_S
    assert reader.feed(b"\rwith secret\rwith secret") == ["with ***"]
    seconds += PROGRESS_S
    assert reader.feed(b"\rwith secret") == []


PIECES = st.sampled_from(
    [
        b"a",
        b"\n",
        b"\r",
        b"\r\n",
        b"\x1b[31m",
        b"\x1b]8;;x\x07",
        b"\x1b[2J",
        "é\u202e😀".encode(),
        b"\xff",
        b"x" * 9000,
    ]
)


@given(st.lists(PIECES, max_size=30).map(b"".join), st.data())
def test_cutting_the_stream_anywhere_gives_the_same_lines(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    bounds = [0, *cuts, len(stream)]
    chunks = [stream[start:end] for start, end in itertools.pairwise(bounds)]
    assert read(*chunks) == read(stream)


@given(st.text(st.characters(), max_size=300))
def test_cleaning_leaves_nothing_to_clean(text: str) -> None:
    once = clean(text)
    assert not set(once) & set("\x00\x07\x08\x7f\x9b\u202e")
    once.encode()


def test_what_is_printable_stays_also_beside_a_colour() -> None:
    printable = "".join(filter(str.isprintable, map(chr, range(sys.maxunicode + 1))))
    assert clean(printable) == printable
    assert clean(f"{printable}\x1b[0m") == f"{printable}\x1b[0m"


def test_a_long_line_is_cut_and_says_so() -> None:
    line = cut("é" * MAX_LINE_BYTES)
    assert line == "é" * (MAX_LINE_BYTES // 2) + CUT_MARKER
    assert cut("a" * MAX_LINE_BYTES) == "a" * MAX_LINE_BYTES


def test_a_cut_never_leaves_half_a_colour() -> None:
    assert cut("a" * (MAX_LINE_BYTES - 3) + "\x1b[31mred") == "a" * (MAX_LINE_BYTES - 3) + CUT_MARKER


def test_a_line_without_end_keeps_memory_flat() -> None:
    reader = LineReader(unmasked)
    for _ in range(200):
        assert reader.feed(b"x" * 65536) == []
    assert len(reader._line) == RAW_LINE_BYTES
    assert reader.finish() == ["x" * MAX_LINE_BYTES + CUT_MARKER]


def test_a_line_of_escapes_that_overflowed_says_so() -> None:
    assert read(b"seen" + b"\x1b[2J" * 20_000 + b"\n") == ["seen" + CUT_MARKER]
