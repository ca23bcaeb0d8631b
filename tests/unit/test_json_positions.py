"""Positions of JSON values, against a plain count over the text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tunesmith.core.json_positions import JsonSyntaxError, Position, parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


def test_line_and_column_of_a_key_deep_inside():
    document = parse('{\n  "a": [1, {"b c": true}],\n  "d": null\n}')
    assert document.position(("a", 1, "b c")) == Position(2, 13)
    assert document.position(("d",)) == Position(3, 3)
    assert document.position(()) == Position(1, 1)


def test_a_path_that_is_not_there_gives_its_parent():
    document = parse('{\n "a": {\n}}')
    assert document.position(("a", "missing", 3)) == Position(2, 2)


def test_keys_with_escapes():
    assert parse('{"\\u0061\\"": 1}').position(('a"',)) == Position(1, 2)


@pytest.mark.parametrize(
    ("text", "line"), [("", 1), ("{", 1), ('{\n "a": 1,\n}', 3), ('{"a" 1}', 1), ("[1\n2]", 2)]
)
def test_syntax_errors_say_where(text, line):
    with pytest.raises(JsonSyntaxError) as caught:
        parse(text)
    assert caught.value.position.line == line


@given(VALUES, st.sampled_from([None, 1, 3]))
def test_every_value_has_a_position_and_it_starts_there(value, indent):
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    document = parse(text)
    assert document.value == value
    lines = text.split("\n")
    for path, place in document.positions.items():
        found: object = value
        for part in path:
            found = found[part]  # type: ignore[index]
        rest = lines[place.line - 1][place.column - 1 :]
        expected = json.dumps(
            path[-1] if path and isinstance(path[-1], str) else found, ensure_ascii=False
        )
        assert rest.startswith(expected[:1])


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        document = parse(text)
    except JsonSyntaxError:
        return
    assert () in document.positions
