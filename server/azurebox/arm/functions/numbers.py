"""Whole numbers of 64 bits, and the floats that json() can make."""

from __future__ import annotations

from typing import Any

from azurebox.arm.expressions import ExpressionError
from azurebox.arm.functions.checks import in_int64, integer
from azurebox.arm.functions.registry import pure, scoped
from azurebox.arm.scope import Scope


@pure("add", 2)
def add(first: Any, second: Any) -> int:
    """First + second."""
    return in_int64("add", integer("add", 1, first) + integer("add", 2, second))


@pure("sub", 2)
def sub(first: Any, second: Any) -> int:
    """First - second."""
    return in_int64("sub", integer("sub", 1, first) - integer("sub", 2, second))


@pure("mul", 2)
def mul(first: Any, second: Any) -> int:
    """First * second."""
    return in_int64("mul", integer("mul", 1, first) * integer("mul", 2, second))


@pure("div", 2)
def div(first: Any, second: Any) -> int:
    """First / second, cut towards zero."""
    a, b = integer("div", 1, first), _divisor("div", second)
    quotient = abs(a) // abs(b)
    return in_int64("div", quotient if (a < 0) == (b < 0) else -quotient)


@pure("mod", 2)
def mod(first: Any, second: Any) -> int:
    """What is left of first / second; it has the sign of the first."""
    a, b = integer("mod", 1, first), _divisor("mod", second)
    rest = abs(a) % abs(b)
    return rest if a >= 0 else -rest


def _divisor(function: str, value: Any) -> int:
    divisor = integer(function, 2, value)
    if divisor == 0:
        raise ExpressionError(
            f"The template language function '{function}' tried to divide by zero. Please see"
            " https://aka.ms/arm-functions for usage details."
        )
    return divisor


@scoped("copyIndex", 0, 2)
def copy_index(scope: Scope, *arguments: Any) -> int:
    """Return the turn of the innermost or the named loop, with an offset if one is given."""
    name = arguments[0].lower() if arguments and isinstance(arguments[0], str) else ""
    offsets = arguments[1:] if name else arguments
    if name not in scope.copies:
        raise ExpressionError(
            f"The template function 'copyIndex' is not expected at this location: no copy loop"
            f" '{name}' is around it. Please see https://aka.ms/arm-copy for usage details."
            if name
            else "The template function 'copyIndex' is not expected at this location. The function"
            " can only be used in a resource with copy specified. Please see"
            " https://aka.ms/arm-copy for usage details."
        )
    return scope.copies[name] + (integer("copyIndex", len(arguments), offsets[0]) if offsets else 0)
