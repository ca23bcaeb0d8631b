"""if, and, or, not, bool constants, comparisons, null handling."""

from __future__ import annotations

from typing import Any, cast

from azurebox.arm.expressions import ExpressionError, Node
from azurebox.arm.functions.checks import boolean, text, type_name
from azurebox.arm.functions.registry import lazy, pure
from azurebox.arm.scope import Evaluate, Scope


@pure("true", 0)
def true() -> bool:
    """Return true."""
    return True


@pure("false", 0)
def false() -> bool:
    """Return false."""
    return False


@pure("null", 0)
def null() -> None:
    """Return null."""
    return None


@lazy("if", 3)
def if_(scope: Scope, evaluate: Evaluate, condition: Node, then: Node, otherwise: Node) -> Any:
    """Evaluate one branch only: the other may be invalid."""
    return evaluate(then if boolean("if", 1, evaluate(condition, scope)) else otherwise, scope)


@lazy("and", 2, None)
def and_(scope: Scope, evaluate: Evaluate, *nodes: Node) -> bool:
    """Stop at the first false."""
    return all(_truth("and", evaluate(node, scope)) for node in nodes)


@lazy("or", 2, None)
def or_(scope: Scope, evaluate: Evaluate, *nodes: Node) -> bool:
    """Stop at the first true."""
    return any(_truth("or", evaluate(node, scope)) for node in nodes)


def _truth(function: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ExpressionError(
        f"The provided arguments for template language function '{function}' is not valid: all"
        " arguments should be of type 'boolean'. Please see"
        f" https://aka.ms/arm-functions#{function} for usage details."
    )


@pure("not", 1)
def not_(value: Any) -> bool:
    """Return the opposite."""
    return not boolean("not", 1, value)


@lazy("coalesce", 1, None)
def coalesce(scope: Scope, evaluate: Evaluate, *nodes: Node) -> Any:
    """Return the first value that is not null."""
    for node in nodes:
        value = evaluate(node, scope)
        if value is not None:
            return value
    return None


def are_equal(first: Any, second: Any) -> bool:
    """Compare as ARM's `equals` does: types count, case counts, order of properties does not."""
    if isinstance(first, bool) or isinstance(second, bool):
        return isinstance(first, bool) and isinstance(second, bool) and first is second
    if isinstance(first, (int, float)) and isinstance(second, (int, float)):
        return type(first) is type(second) and first == second
    if isinstance(first, list) and isinstance(second, list):
        left, right = cast("list[Any]", first), cast("list[Any]", second)
        return len(left) == len(right) and all(map(are_equal, left, right))
    if isinstance(first, dict) and isinstance(second, dict):
        a, b = cast("dict[str, Any]", first), cast("dict[str, Any]", second)
        return a.keys() == b.keys() and all(are_equal(a[key], b[key]) for key in a)
    return bool(first == second)


@pure("equals", 2)
def equals(first: Any, second: Any) -> bool:
    """Tell whether two values are the same."""
    return are_equal(first, second)


def _compare(function: str, first: Any, second: Any) -> int:
    if isinstance(first, str) and isinstance(second, str):
        a, b = collation_key(first), collation_key(second)
    elif _is_number(first) and _is_number(second):
        a, b = first, second
    else:
        expected = "Integer" if _is_number(first) else "String"
        place, value = (
            ("second", second) if _is_number(first) or isinstance(first, str) else ("first", first)
        )
        raise ExpressionError(
            f"The template language function '{function}' expects its {place} parameter to be of"
            f" type '{expected}'. The provided value is of type '{type_name(value)}'. Please see"
            " https://aka.ms/arm-functions for usage details."
        )
    return (a > b) - (a < b)


def collation_key(value: str) -> Any:
    """Order strings about as the service does: letters before their case, punctuation first.

    The service compares by the rules of the invariant culture (ICU root collation); this key agrees
    with it on ASCII.
    """
    return (
        [_primary_weight(char) for char in value],
        [char.isupper() for char in value],
    )


def _primary_weight(char: str) -> tuple[int, int, str]:
    order = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$"
    if char in order:
        return (0, order.index(char), "")
    return (1 if char.isdigit() else 2, 0, char.lower())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@pure("less", 2)
def less(first: Any, second: Any) -> bool:
    """First < second."""
    return _compare("less", first, second) < 0


@pure("lessOrEquals", 2)
def less_or_equals(first: Any, second: Any) -> bool:
    """First <= second."""
    return _compare("lessOrEquals", first, second) <= 0


@pure("greater", 2)
def greater(first: Any, second: Any) -> bool:
    """First > second."""
    return _compare("greater", first, second) > 0


@pure("greaterOrEquals", 2)
def greater_or_equals(first: Any, second: Any) -> bool:
    """First >= second."""
    return _compare("greaterOrEquals", first, second) >= 0


@pure("fail", 1)
def fail(message: Any) -> Any:
    """Refuse the template with its own message."""
    raise ExpressionError(text("fail", 1, message))


@lazy("tryGet", 2, None)
def try_get(scope: Scope, evaluate: Evaluate, target: Node, *keys: Node) -> Any:
    """Return target[key][key]... or null where the first key leads to nothing."""
    value = evaluate(target, scope)
    for at, node in enumerate(keys):
        key = evaluate(node, scope)
        if value is None:
            return None
        found, value = _member(value, key, strict=at > 0)
        if not found:
            return None
    return value


def _member(value: Any, key: Any, *, strict: bool) -> tuple[bool, Any]:
    if isinstance(value, dict) and isinstance(key, str):
        for name, item in cast("dict[str, Any]", value).items():
            if name.lower() == key.lower():
                return True, item
    elif isinstance(value, list) and isinstance(key, int) and not isinstance(key, bool):
        items = cast("list[Any]", value)
        if 0 <= key < len(items):
            return True, items[key]
    elif not strict and not isinstance(value, (dict, list)):
        raise ExpressionError(
            f"The language expression property '{key}' can't be evaluated, property path is"
            " expected on an object or an array."
        )
    if strict:
        raise ExpressionError(f"The language expression property '{key}' doesn't exist.")
    return False, None
