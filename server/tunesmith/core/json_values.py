"""Reading JSON that others wrote: a value of the wrong type counts as a missing one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def is_object(value: object) -> bool:
    """Return whether a parsed value is a JSON object."""
    return isinstance(value, dict)


def mapping(value: object) -> Mapping[str, Any]:
    """Return an object as it is, {} for anything else."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def at(value: object, *path: str) -> Any:
    """Walk down objects by key; None where the path ends early."""
    for key in path:
        value = mapping(value).get(key)
    return value


def words(value: object) -> str:
    """Return a string as it is, "" for anything else."""
    return value if isinstance(value, str) else ""


def whole(value: object) -> int:
    """Return a number cut to an integer, 0 for anything else."""
    if isinstance(value, (int, float)) and value == value and abs(value) != float("inf"):
        return int(value)
    return 0


def number(value: object) -> float | None:
    """Return a number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)


def items(value: object) -> list[Any]:
    """Return an array as it is, [] for anything else."""
    return cast("list[Any]", value) if isinstance(value, list) else []
