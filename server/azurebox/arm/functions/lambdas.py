"""Functions that take a lambda: lambda('x', body) with lambdaVariables('x') in the body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cmp_to_key
from typing import Any, cast

from azurebox.arm.expressions import Call, ExpressionError, Node
from azurebox.arm.functions.checks import array, boolean, mapping, text
from azurebox.arm.functions.registry import lazy, scoped
from azurebox.arm.scope import Evaluate, Scope


@scoped("lambdaVariables", 1)
def lambda_variables(scope: Scope, name: Any) -> Any:
    """Return the value of a lambda's variable."""
    key = text("lambdaVariables", 1, name).lower()
    if key not in scope.lambdas:
        raise ExpressionError(f"The lambda variable '{name}' is not found.")
    return scope.lambdas[key]


@lazy("lambda", 1, None)
def lambda_(scope: Scope, evaluate: Evaluate, *nodes: Node) -> Any:
    """Refuse a lambda that is no function's argument."""
    raise ExpressionError("The template function 'lambda' is not expected at this location.")


def _bind(
    function: str, scope: Scope, evaluate: Evaluate, node: Node, least: int, most: int
) -> tuple[Callable[..., Any], int]:
    """Return the lambda as a Python function, and how many variables it has."""
    if not isinstance(node, Call) or node.name.lower() != "lambda":
        raise ExpressionError(
            f"The template language function '{function}' expects a lambda as its last argument."
        )
    *variables, body = node.arguments
    names = [text("lambda", at, evaluate(name, scope)).lower() for at, name in enumerate(variables)]
    if not least <= len(names) <= most:
        raise ExpressionError(
            f"The lambda of the template language function '{function}' has {len(names)}"
            f" variable(s), expected {least} to {most}."
        )

    def call(*values: Any) -> Any:
        bound = dict(zip(names, values, strict=False))
        return evaluate(body, replace(scope, lambdas={**scope.lambdas, **bound}))

    return call, len(names)


@lazy("map", 2)
def map_(scope: Scope, evaluate: Evaluate, target: Node, function: Node) -> list[Any]:
    """Return what the lambda makes of each item; it may take (item) or (item, index)."""
    call, _ = _bind("map", scope, evaluate, function, 1, 2)
    return [call(item, at) for at, item in enumerate(array("map", 1, evaluate(target, scope)))]


@lazy("filter", 2)
def filter_(scope: Scope, evaluate: Evaluate, target: Node, function: Node) -> list[Any]:
    """Return the items for which the lambda says true."""
    call, _ = _bind("filter", scope, evaluate, function, 1, 2)
    return [
        item
        for at, item in enumerate(array("filter", 1, evaluate(target, scope)))
        if boolean("filter", 2, call(item, at))
    ]


@lazy("reduce", 3)
def reduce(scope: Scope, evaluate: Evaluate, target: Node, start: Node, function: Node) -> Any:
    """Return what is left when the lambda has taken in one item after the other."""
    call, _ = _bind("reduce", scope, evaluate, function, 2, 3)
    result = evaluate(start, scope)
    for at, item in enumerate(array("reduce", 1, evaluate(target, scope))):
        result = call(result, item, at)
    return result


@lazy("sort", 2)
def sort(scope: Scope, evaluate: Evaluate, target: Node, function: Node) -> list[Any]:
    """Order by a lambda that says whether its first item comes before its second."""
    call, _ = _bind("sort", scope, evaluate, function, 2, 2)

    def compare(first: Any, second: Any) -> int:
        if boolean("sort", 2, call(first, second)):
            return -1
        return 1 if boolean("sort", 2, call(second, first)) else 0

    return sorted(array("sort", 1, evaluate(target, scope)), key=cmp_to_key(compare))


@lazy("toObject", 2, 3)
def to_object(scope: Scope, evaluate: Evaluate, target: Node, *functions: Node) -> dict[str, Any]:
    """Make an object of an array, its keys and values made by lambdas."""
    key_of, _ = _bind("toObject", scope, evaluate, functions[0], 1, 1)
    value_of: Callable[..., Any] | None = None
    if len(functions) == 2:
        value_of, _ = _bind("toObject", scope, evaluate, functions[1], 1, 1)
    result: dict[str, Any] = {}
    for item in array("toObject", 1, evaluate(target, scope)):
        key = text("toObject", 2, key_of(item))
        if key in result:
            raise ExpressionError(
                f"The template language function 'toObject' made the key '{key}' twice."
            )
        result[key] = value_of(item) if value_of else item
    return result


@lazy("groupBy", 2)
def group_by(scope: Scope, evaluate: Evaluate, target: Node, function: Node) -> dict[str, Any]:
    """Make an object of arrays: the items by the key that the lambda makes."""
    call, _ = _bind("groupBy", scope, evaluate, function, 1, 1)
    result: dict[str, list[Any]] = {}
    for item in array("groupBy", 1, evaluate(target, scope)):
        result.setdefault(text("groupBy", 2, call(item)), []).append(item)
    return cast("dict[str, Any]", result)


@lazy("mapValues", 2)
def map_values(scope: Scope, evaluate: Evaluate, target: Node, function: Node) -> dict[str, Any]:
    """Return the object with what the lambda makes of each value."""
    call, _ = _bind("mapValues", scope, evaluate, function, 1, 1)
    members = mapping("mapValues", 1, evaluate(target, scope))
    return {key: call(value) for key, value in members.items()}
