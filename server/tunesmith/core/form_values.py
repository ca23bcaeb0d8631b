"""Form fields of the template: typed texts into JSON values, written at their dotted keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from jsonschema import Draft202012Validator

from tunesmith.core.errors import ProjectError
from tunesmith.core.json_values import at, items, mapping, words

_RULES = {
    "type": "",
    "enum": "",
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "pattern": "matching",
    "minLength": "no shorter than",
}
"""The limits of a schema that a form shows, with words for those that are a number or pattern."""


def field_schema(field: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what limits a field: itself where it says its type, else the run config's schema."""
    if field.get("type"):
        return field
    node: Any = schema
    for key in words(at(field, "writes", "key")).split("."):
        node = mapping(mapping(node).get("properties")).get(key)
    return mapping(node)


def parse_value(name: str, typed: str, limits: Mapping[str, Any]) -> Any:
    """Return the JSON value that `typed` stands for; "" is null where null is allowed.

    Raises: ProjectError("project.badValue") with what is allowed.
    """
    types = items(limits.get("type")) or [limits.get("type")]
    is_nullable = "null" in types or limits.get("default", "") is None
    value: Any = typed
    if typed == "" and is_nullable:
        return None
    try:
        if "integer" in types:
            value = int(typed)
        elif "number" in types:
            value = float(typed)
        elif "boolean" in types:
            value = {"true": True, "yes": True, "false": False, "no": False}[typed.lower()]
        elif "array" in types or "object" in types:
            value = json.loads(typed)
    except (ValueError, KeyError) as e:
        kind = " or ".join(words(t) for t in types if t)
        raise ProjectError("project.badValue", field=name, value=typed, allowed=kind) from e
    _check_limits(name, value, limits)
    return value


def _check_limits(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    rules = {key: rule for key, rule in limits.items() if key in _RULES}
    if not cast(Any, Draft202012Validator(rules)).is_valid(value):
        raise ProjectError("project.badValue", field=name, value=value, allowed=_allowed(rules))


def _allowed(rules: Mapping[str, Any]) -> str:
    """Return what a field takes, in a few words."""
    if choices := items(rules.get("enum")):
        return ", ".join(str(choice) for choice in choices)
    types = items(rules.get("type")) or [rules.get("type")]
    parts = [" or ".join(words(t) for t in types if t)]
    parts += [f"{_RULES[k]} {rules[k]}" for k in rules if _RULES[k]]
    return ", ".join(part for part in parts if part)


def set_at(content: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    """Set a value deep in a JSON object, making the objects on the way."""
    *above, last = keys
    for key in above:
        inner = content.get(key)
        content[key] = dict(mapping(inner))
        content = content[key]
    content[last] = value
