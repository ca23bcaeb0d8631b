"""Form fields of the template: typed texts into JSON values, written at their dotted keys."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.core.errors import ProjectError
from tunesmith.core.json_values import at, items, mapping, number, words


def field_schema(field: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what limits a field: itself where it says its type, else the run config's own schema."""
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
    low, high = number(limits.get("minimum")), number(limits.get("maximum"))
    choices, pattern = items(limits.get("enum")), words(limits.get("pattern"))
    allowed = ""
    if choices and value not in choices:
        allowed = ", ".join(str(c) for c in choices)
    elif isinstance(value, (int, float)) and low is not None and value < low:
        allowed = f">= {low:g}"
    elif isinstance(value, (int, float)) and high is not None and value > high:
        allowed = f"<= {high:g}"
    elif pattern and isinstance(value, str) and not re.search(pattern, value):
        allowed = pattern
    if allowed:
        raise ProjectError("project.badValue", field=name, value=value, allowed=allowed)


def set_at(content: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    """Set a value deep in a JSON object, making the objects on the way."""
    *above, last = keys
    for key in above:
        inner = content.get(key)
        content[key] = dict(mapping(inner))
        content = content[key]
    content[last] = value
