"""From bytes to lines: what containers print in practice."""

from __future__ import annotations

import random

import pytest
from azurebox.runtime.output import MAX_LINE_BYTES, LineSplitter


def split(*pieces: bytes, step_s: float = 0.0) -> list[str]:
    splitter = LineSplitter()
    lines: list[str] = []
    for number, piece in enumerate(pieces):
        lines += splitter.feed(piece, 100 + number * step_s)
    return lines + splitter.end()


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a", b"b\nc"], ["ab", "c"]),
        ([b"\n\na\n"], ["", "", "a"]),
        ([b"a\r\nb\r", b"\n"], ["a", "b"]),
        ([b"\xff\xfe ok\n"], ["\ufffd\ufffd ok"]),
        ([b"caf\xc3", b"\xa9\n"], ["café"]),
        ([b"no newline"], ["no newline"]),
        ([b""], []),
    ],
)
def test_lines(pieces: list[bytes], lines: list[str]) -> None:
    assert split(*pieces) == lines


def test_progress_bar_shows_once_a_second_and_at_its_end() -> None:
    bars = [b"\r%d%%" % percent for percent in range(101)]
    assert split(*bars, b"\ndone\n", step_s=0.1) == [
        *[f"{percent}%" for percent in range(0, 100, 10)],
        "100%",
        "done",
    ]


def test_bar_that_returns_at_its_end_is_no_longer_than_the_last() -> None:
    lines = split(*[b"%d%%\r" % percent for percent in range(1000)], b"\n", step_s=0.001)
    assert lines == ["0%", "999%"]


def test_very_long_line_is_cut_between_characters() -> None:
    text = "é" * 40_000
    lines = split(*[text.encode()[i : i + 999] for i in range(0, 80_000, 999)], b"\n")
    assert "".join(lines) == text
    assert len(lines) == 3
    assert all(len(line.encode()) <= MAX_LINE_BYTES for line in lines)


def test_long_line_in_one_piece_is_cut_as_well() -> None:
    assert [len(line) for line in split(b"x" * 70_000 + b"\n")] == [32768, 32768, 4464]


def test_cuts_between_reads_change_nothing() -> None:
    draw = random.Random(7)
    data = "".join(draw.choice("ab é\n") for _ in range(5000)).encode()
    whole = split(data)
    for _ in range(20):
        cuts = sorted(draw.sample(range(len(data)), 50))
        pieces = [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert split(*pieces) == whole


def test_bytes_that_are_no_text_do_not_stop_it() -> None:
    draw = random.Random(8)
    data = bytes(draw.randrange(256) for _ in range(200_000))
    assert all(len(line) <= MAX_LINE_BYTES for line in split(data))
