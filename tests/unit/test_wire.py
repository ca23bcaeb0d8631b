"""JSON to dataclasses and back: camelCase, strict, every bad field named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from tunesmith.core.plan import Plan, PlanRow
from tunesmith.core.sync import SyncResult
from tunesmith.ops import OPERATIONS
from tunesmith.ops.registry import arg
from tunesmith.ops.wire import WireError, from_wire, to_wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    folder: str
    dry_run: bool = False
    ratio: float = 0.5
    max_rows: int | None = None
    level: Literal["low", "high"] = "low"
    colour: str = arg("a colour", default="red", choices=("red", "blue"))
    env_names: dict[str, str] = field(default_factory=dict)
    parts: tuple[Inner, ...] = ()
    anything: dict[str, Any] | None = None


def test_field_names_are_camel_case_and_dict_keys_are_left_alone():
    sample = Sample(
        folder="a", env_names={"MY_VAR": "x", "my-var": "y"}, parts=(Inner(size_bytes=3),)
    )
    wire = to_wire(sample)
    assert wire["envNames"] == {"MY_VAR": "x", "my-var": "y"}
    assert wire["parts"] == [{"sizeBytes": 3}]
    assert wire["maxRows"] is None
    assert from_wire(Sample, wire) == sample


def test_missing_optional_fields_take_their_defaults():
    assert from_wire(Sample, {"folder": "a"}) == Sample(folder="a")


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        ({}, {"folder": "missing"}),
        ({"folder": 7}, {"folder": "expected a string, got a number"}),
        ({"folder": None}, {"folder": "expected a string, got null"}),
        ({"folder": "a", "dryRun": "yes"}, {"dryRun": "expected true or false, got a string"}),
        ({"folder": "a", "dry_run": True}, {"dry_run": "unknown key"}),
        ({"folder": "a", "colour": "green"}, {"colour": "expected one of red, blue"}),
        ({"folder": "a", "ratio": "1"}, {"ratio": "expected a number, got a string"}),
        (
            {"folder": "a", "parts": [{"sizeBytes": 1}, {"size": 1}]},
            {"parts.1.sizeBytes": "missing", "parts.1.size": "unknown key"},
        ),
        (
            {"folder": 1, "b": 2, "a": 3},
            {"folder": "expected a string, got a number", "a": "unknown key", "b": "unknown key"},
        ),
    ],
)
def test_every_bad_field_is_named_with_its_path(raw, fields):
    with pytest.raises(WireError) as caught:
        from_wire(Sample, raw)
    assert caught.value.fields == fields


@pytest.mark.parametrize("raw", [{"folder": "a", "maxRows": "3"}, {"folder": "a", "level": "mid"}])
def test_a_bad_optional_or_literal_names_its_path(raw):
    with pytest.raises(WireError) as caught:
        from_wire(Sample, raw)
    assert list(caught.value.fields) == [key for key in raw if key != "folder"]


@pytest.mark.parametrize("raw", [None, [], "text", 3])
def test_params_that_are_no_object_are_refused(raw):
    with pytest.raises(WireError):
        from_wire(Sample, raw)


def test_an_integer_is_a_number_but_true_is_not_an_integer():
    assert from_wire(Sample, {"folder": "a", "ratio": 1}).ratio == 1.0
    with pytest.raises(WireError):
        from_wire(Sample, {"folder": "a", "maxRows": True})


def test_results_survive_the_trip():
    plan = Plan("Push", (PlanRow("upload", "a.txt", "1 KB"),), "free")
    result = SyncResult(plan, True, 1, 1024, 0, ("b.txt",), 0.5)
    assert from_wire(SyncResult, to_wire(result)) == result


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_has_params_and_result_that_the_wire_can_carry(name):
    operation = OPERATIONS[name]
    with pytest.raises(WireError) as caught:
        from_wire(operation.params, {"noSuchKey": 1})
    assert caught.value.fields["noSuchKey"] == "unknown key"
    with pytest.raises(WireError) as caught:
        from_wire(operation.result, {"noSuchKey": 1})
    assert caught.value.fields["noSuchKey"] == "unknown key"
