"""Dataclasses to JSON and back: camelCase on the wire, nothing guessed, nothing ignored.

Only field names change their spelling. The keys of a dict (names of environment variables, form
fields, outputs) are data and travel as they are.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from types import NoneType
from typing import Any, TypeVar, cast

from cattrs import BaseValidationError, Converter
from cattrs.errors import (
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
)
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

T = TypeVar("T")


class WireError(ValueError):
    """Params that do not fit. `fields` maps each bad path ("values.epochs") to what is wrong."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        super().__init__("; ".join(f"{path}: {reason}" for path, reason in fields.items()))


def camel(name: str) -> str:
    """`size_bytes` -> `sizeBytes`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def to_wire(value: Any) -> Any:
    """Turn a result into what JSON can hold: dicts, lists, strings, numbers, booleans, None."""
    return _converter().unstructure(value)


def from_wire(kind: type[T], raw: Any) -> T:
    """Build `kind` from decoded JSON.

    Raises: WireError naming every unknown key, missing key, value of a wrong type and value
    outside a field's choices.
    """
    if not isinstance(raw, dict):
        raise WireError({"": f"expected an object, got {_json_name(raw)}"})
    try:
        value = _converter().structure(cast("Any", raw), kind)
    except BaseValidationError as error:
        raise WireError(dict(_walk(error, ""))) from None
    _check_choices(value)
    return value


@cache
def _converter() -> Converter:
    # Sequences come out as lists so that results compare equal after a trip through JSON.
    converter = Converter(unstruct_collection_overrides={tuple: list})

    def structure_fn(kind: type[Any]) -> Any:
        return make_dict_structure_fn(
            kind, converter, _cattrs_forbid_extra_keys=True, **_renames(kind)
        )

    def unstructure_fn(kind: type[Any]) -> Any:
        return make_dict_unstructure_fn(kind, converter, **_renames(kind))

    converter.register_structure_hook_factory(_is_dataclass, structure_fn)
    converter.register_unstructure_hook_factory(_is_dataclass, unstructure_fn)
    for exact in (str, bool, NoneType):
        converter.register_structure_hook(exact, _exactly(exact))
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(float, _number)
    return converter


def _is_dataclass(kind: Any) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _renames(kind: type[Any]) -> dict[str, Any]:
    return {
        field.name: override(rename=camel(field.name))
        for field in dataclasses.fields(kind)
        if camel(field.name) != field.name
    }


def _exactly(kind: type[Any]) -> Any:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"expected {_TYPE_NAMES[kind]}, got {_json_name(value)}")
        return value

    return structure


def _integer(value: Any, _: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"expected an integer, got {_json_name(value)}")
    return value


def _number(value: Any, _: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"expected a number, got {_json_name(value)}")
    return float(value)


_TYPE_NAMES: dict[type[Any], str] = {
    str: "a string",
    bool: "true or false",
    NoneType: "null",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def _json_name(value: Any) -> str:
    return _TYPE_NAMES.get(cast("type[Any]", type(value)), "something else")


def _check_choices(value: Any) -> None:
    wrong = {
        camel(field.name): f"expected one of {', '.join(field.metadata['choices'])}"
        for field in dataclasses.fields(value)
        if field.metadata.get("choices")
        and getattr(value, field.name) not in field.metadata["choices"]
    }
    if wrong:
        raise WireError(wrong)


def _walk(error: BaseException, path: str) -> list[tuple[str, str]]:
    """Flatten cattrs' tree of errors into (path on the wire, reason)."""
    if isinstance(error, ForbiddenExtraKeysError):
        return [(_join(path, str(key)), "unknown key") for key in sorted(error.extra_fields)]
    if isinstance(error, ClassValidationError):
        named, loose = error.group_exceptions()
        found = [
            item for inner, note in named for item in _walk(inner, _join(path, camel(note.name)))
        ]
        return found + [item for inner in loose for item in _walk(inner, path)]
    if isinstance(error, IterableValidationError):
        indexed, loose = error.group_exceptions()
        found = [
            item for inner, note in indexed for item in _walk(inner, _join(path, str(note.index)))
        ]
        return found + [item for inner in loose for item in _walk(inner, path)]
    if isinstance(error, KeyError):
        return [(_join(path, str(error.args[0])) if path == "" else path, "missing")]
    return [(path, str(error))]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
