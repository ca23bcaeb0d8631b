"""JSON as ARM reads it, and where in it something stands."""

import json

import pytest
from azurebox.arm.lenient_json import JsonError, locate, read_json
from hypothesis import given
from hypothesis import strategies as st

# As az sends a template: recorded from the real service.
AZ_BODY = """{"properties": {"parameters": {}, "mode": "Incremental", template:{
  "$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentParameters.json#",
  "contentVersion": "1.0.0.0",
  "resources": [] // comment
}}}"""


def test_what_az_sends_is_read():
    template = read_json(AZ_BODY)["properties"]["template"]
    assert template["contentVersion"] == "1.0.0.0" and template["resources"] == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 'b'}", {"a": "b"}),
        ("/* x */ [1, 2,]", [1, 2]),
        ('{a: "two\nlines"}', {"a": "two\nlines"}),
        (r'{a: "\u00e9\ud83d\ude00\n\/"}', {"a": "é😀\n/"}),
        ("\ufeff{a: -1.5e2, b: null}", {"a": -150.0, "b": None}),
    ],
)
def test_lenient_text_is_read(text, value):
    assert read_json(text) == value


@pytest.mark.parametrize("text", ["", "{", "[1", "{a}", "{a:}", "nope", "[1 2]", "'open", "{} x"])
def test_text_that_is_no_json_is_refused_with_its_place(text):
    with pytest.raises(JsonError, match="at line 1, position"):
        read_json(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_every_json_text_is_read_the_same_by_the_lenient_reader(value):
    # The comment keeps the strict reader away.
    assert read_json(json.dumps(value) + " // end") == value


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("properties.template", (1, 67)),
        ("properties.template.contentVersion", (3, 20)),
        ("properties.template.resources[0].name", (4, 15)),
        ("nowhere", (0, 0)),
    ],
)
def test_place_of_a_value_or_what_encloses_it(path, place):
    assert locate(AZ_BODY, path) == place
