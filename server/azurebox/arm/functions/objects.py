"""Functions over objects, and union and intersection, which take arrays as well."""

from __future__ import annotations

from typing import Any, cast

from azurebox.arm.expressions import ExpressionError
from azurebox.arm.functions.checks import array, mapping, text, type_name
from azurebox.arm.functions.logic import are_equal
from azurebox.arm.functions.registry import pure


@pure("createObject", 0, None)
def create_object(*items: Any) -> dict[str, Any]:
    """Return an object of keys and values in turn."""
    if len(items) % 2:
        raise ExpressionError(
            "The template language function 'createObject' expects an even number of parameters."
        )
    keys = [text("createObject", at * 2 + 1, key) for at, key in enumerate(items[::2])]
    if len(set(keys)) < len(keys):
        raise ExpressionError(
            "The template language function 'createObject' has a property name more than once:"
            f" '{', '.join(keys)}'."
        )
    return dict(zip(keys, items[1::2], strict=True))


@pure("union", 1, None)
def union(*values: Any) -> Any:
    """Merge objects deeply, the later value winning, or arrays without what they have twice."""
    if isinstance(values[0], dict):
        result: dict[str, Any] = {}
        for at, value in enumerate(values, 1):
            result = _merge(result, mapping("union", at, value))
        return result
    items: list[Any] = []
    for at, value in enumerate(values, 1):
        for item in array("union", at, value):
            if not any(are_equal(item, known) for known in items):
                items.append(item)
    return items


def _merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    result = dict(first)
    for key, value in second.items():
        known = result.get(_spelling(result, key))
        if known is not None and value is None:
            continue
        if known is not None and _kind(known) != _kind(value):
            raise ExpressionError(
                "The template language function 'union' failed to evaluate due to a type mismatch"
                f" between '{type_name(known)}' and '{type_name(value)}'. Please see"
                " https://aka.ms/arm-function-union for usage details."
            )
        if isinstance(known, dict) and isinstance(value, dict):
            value = _merge(cast("dict[str, Any]", known), cast("dict[str, Any]", value))
        result = _with_member(result, key, value)
    return result


def _kind(value: Any) -> str:
    """Return which values can take each other's place: arrays, objects, or all the others."""
    return type_name(value) if type_name(value) in ("Array", "Object") else ""


def _with_member(members: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return the object with a member set, in the place of the one it replaces (any case)."""
    old = _spelling(members, key)
    if old == key:
        return {**members, key: value}
    return {
        key if name == old else name: value if name == old else item
        for name, item in members.items()
    }


def _spelling(members: dict[str, Any], key: str) -> str:
    """Return the key as the object spells it."""
    if key in members:
        return key
    return next((name for name in members if name.lower() == key.lower()), key)


@pure("intersection", 1, None)
def intersection(*values: Any) -> Any:
    """Return what all arrays, or all objects (key and value), have."""
    if isinstance(values[0], dict):
        objects = [mapping("intersection", at, value) for at, value in enumerate(values, 1)]
        return {
            key: value
            for key, value in objects[0].items()
            if all(key in other and are_equal(value, other[key]) for other in objects[1:])
        }
    arrays = [array("intersection", at, value) for at, value in enumerate(values, 1)]
    result: list[Any] = []
    for item in arrays[0]:
        everywhere = all(any(are_equal(item, x) for x in other) for other in arrays[1:])
        if everywhere and not any(are_equal(item, known) for known in result):
            result.append(item)
    return result


@pure("items", 1)
def items(value: Any) -> list[dict[str, Any]]:
    """Return [{key, value}, ...] ordered by key."""
    members = mapping("items", 1, value)
    return [{"key": key, "value": members[key]} for key in sorted(members, key=str.upper)]


@pure("objectKeys", 1)
def object_keys(value: Any) -> list[str]:
    """Return the names of the properties, ordered."""
    return sorted(mapping("objectKeys", 1, value), key=str.upper)


@pure("shallowMerge", 1)
def shallow_merge(value: Any) -> dict[str, Any]:
    """Merge an array of objects, the later property winning whole."""
    result: dict[str, Any] = {}
    for at, item in enumerate(array("shallowMerge", 1, value), 1):
        for key, member in mapping("shallowMerge", at, item).items():
            result[_spelling(result, key)] = member
    return result
