"""From one type to another: string, int, bool, json, array, and the text of a value."""

from __future__ import annotations

import json
from typing import Any, cast

from azurebox.arm.expressions import ExpressionError
from azurebox.arm.functions.checks import text, wrong_type
from azurebox.arm.functions.registry import pure
from azurebox.arm.lenient_json import JsonError, read_json


def as_text(value: Any) -> str:
    """Return the text of a value as `string` makes it: JSON for arrays and objects."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, (list, dict)):
        return compact_json(value)
    if value is None:
        return ""
    return number_text(value)


def number_text(value: float) -> str:
    """Return a number's digits as .NET writes them."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value)


def compact_json(value: Any) -> str:
    """Return JSON without spaces."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value).items()
        return "{" + ",".join(f"{_quoted(k)}:{compact_json(v)}" for k, v in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact_json, cast("list[Any]", value))) + "]"
    if isinstance(value, float):
        return repr(value).replace("e", "E")
    return _quoted(value)


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@pure("string", 1)
def string(value: Any) -> str:
    """Return the text of a value."""
    if value is None or isinstance(value, float):
        raise wrong_type("string", 1, "Array, Boolean, Integer, Object or String", value)
    return as_text(value)


@pure("int", 1)
def int_(value: Any) -> int:
    """Return a whole number from a number or its digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        try:
            return int(value.strip())
        except ValueError as e:
            raise ExpressionError(
                f"The template language function 'int' cannot convert provided value '{value}'"
                " to integer value. Please see https://aka.ms/arm-function-int for usage details."
            ) from e
    raise wrong_type("int", 1, "String or Integer", value)


@pure("float", 1)
def float_(value: Any) -> float:
    """Return a number with a fraction from a number or its digits."""
    try:
        return float(value)
    except (TypeError, ValueError) as e:
        raise wrong_type("float", 1, "String or Float", value) from e


@pure("bool", 1)
def bool_(value: Any) -> bool:
    """Return true or false from a bool, a number or one of the words."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value != 0
    word = text("bool", 1, value).strip().lower()
    if word in ("true", "false"):
        return word == "true"
    raise ExpressionError(
        f"The template language function 'bool' cannot convert provided value '{value}' to boolean"
        " value. Please see https://aka.ms/arm-function-bool for usage details."
    )


@pure("json", 1)
def json_(value: Any) -> Any:
    """Return what a JSON text says."""
    try:
        return read_json(text("json", 1, value))
    except JsonError as e:
        raise ExpressionError(
            "The template language function 'json' parameter is not valid. The provided value"
            f" cannot be parsed as JSON: {e}."
        ) from e


@pure("array", 1)
def array_(value: Any) -> list[Any]:
    """Return the value in an array, or the array that it is."""
    return cast("list[Any]", value) if isinstance(value, list) else [value]
