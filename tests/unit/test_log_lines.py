"""A log cut anywhere gives the same lines and events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tunesmith.core.log_lines import LineCutter, parse_event


def lines_of(pieces):
    cutter = LineCutter()
    found = [line for piece in pieces for line in cutter.feed(piece)]
    return [*found, *cutter.flush()], cutter.cursor


@given(st.text(alphabet="aé😀\n\r\x1b[31m", max_size=60), st.data())
def test_cuts_change_nothing(content, data):
    whole = content.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert lines_of(pieces) == lines_of([whole])


def test_cursor_is_behind_the_last_whole_line():
    cutter = LineCutter(100)
    assert list(cutter.feed("één\nhal".encode())) == ["één"]
    assert cutter.cursor == 100 + len("één\n".encode())


def test_a_progress_bar_leaves_its_last_state():
    assert lines_of([b"10%\r50%\r100%\r\n"])[0] == ["100%"]


def test_colours_are_taken_out():
    assert lines_of([b"\x1b[31mred\x1b[0m line\n"])[0] == ["red line"]


def test_bytes_that_are_no_text_do_not_stop_the_log():
    assert lines_of([b"\xff\xfe ok\n"])[0] == ["\ufffd\ufffd ok"]


def test_a_line_without_end_is_given_out_in_pieces():
    found, cursor = lines_of([b"x" * (300 * 1024)])
    assert "".join(found) == "x" * (300 * 1024)
    assert cursor == 300 * 1024


def test_events():
    event = parse_event('::tunesmith:: {"v":1,"kind":"progress","step":3,"steps":9}')
    assert event is not None
    assert (event.kind, event.data["step"]) == ("progress", 3)


def test_broken_events_are_ordinary_lines():
    for line in ("::tunesmith:: {", "::tunesmith:: []", '::tunesmith:: {"v":1}', "tunesmith", ""):
        assert parse_event(line) is None
