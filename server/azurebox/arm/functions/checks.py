"""What the functions' arguments may be, with ARM's sentences for what they may not."""

from __future__ import annotations

from typing import Any, cast

from azurebox.arm.expressions import ExpressionError

TYPE_NAMES = {
    "str": "String",
    "int": "Integer",
    "float": "Float",
    "bool": "Boolean",
    "list": "Array",
    "dict": "Object",
    "NoneType": "Null",
}


def type_name(value: Any) -> str:
    """Return ARM's word for the type of a value."""
    return TYPE_NAMES.get(type(value).__name__, "Object")


def wrong_type(function: str, position: int, expected: str, value: Any) -> ExpressionError:
    """Return the error for an argument of a type the function does not take."""
    return ExpressionError(
        f"The template language function '{function}' expects its parameter at position"
        f" '{position}' to be of type '{expected}'. The provided value is of type"
        f" '{type_name(value)}'. Please see https://aka.ms/arm-function-{function.lower()} for"
        " usage details."
    )


def text(function: str, position: int, value: Any) -> str:
    """Return the value if it is a string; raises ExpressionError otherwise."""
    if isinstance(value, str):
        return value
    raise wrong_type(function, position, "String", value)


def integer(function: str, position: int, value: Any) -> int:
    """Return the value if it is a whole number; raises ExpressionError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise wrong_type(function, position, "Integer", value)


def boolean(function: str, position: int, value: Any) -> bool:
    """Return the value if it is a bool; raises ExpressionError otherwise."""
    if isinstance(value, bool):
        return value
    raise wrong_type(function, position, "Boolean", value)


def array(function: str, position: int, value: Any) -> list[Any]:
    """Return the value if it is an array; raises ExpressionError otherwise."""
    if isinstance(value, list):
        return cast("list[Any]", value)
    raise wrong_type(function, position, "Array", value)


def mapping(function: str, position: int, value: Any) -> dict[str, Any]:
    """Return the value if it is an object; raises ExpressionError otherwise."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    raise wrong_type(function, position, "Object", value)


def in_int64(function: str, value: int) -> int:
    """Return the value if it fits into 64 bits; raises ExpressionError otherwise."""
    if -(2**63) <= value < 2**63:
        return value
    raise ExpressionError(
        f"The template language function '{function}' has a result that does not fit into a"
        " 64-bit integer."
    )
