"""From a tree, or a template's JSON with expressions in it, to a value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from azurebox.arm.expressions import (
    Access,
    Call,
    ExpressionError,
    Literal,
    Node,
    is_expression,
    parse_expression,
    unescape,
)
from azurebox.arm.functions import find_function
from azurebox.arm.scope import Names, RuntimeOnly, Scope, UserFunction


def evaluate(node: Node, scope: Scope) -> Any:
    """Return the value of a tree.

    Raises: ExpressionError with ARM's sentence; RuntimeOnly before a deployment runs.
    """
    match node:
        case Literal():
            return node.value
        case Access():
            return read_member(evaluate(node.target, scope), evaluate(node.key, scope))
        case Call():
            return _call(node, scope)


def evaluate_json(value: Any, scope: Scope, *, keep_runtime: bool = False) -> Any:
    """Evaluate every expression in a piece of template JSON: values, keys and copy loops.

    With `keep_runtime` an expression that needs the running deployment stays as it is written.
    """
    if isinstance(value, str):
        if not is_expression(value):
            return unescape(value)
        try:
            return evaluate(parse_expression(value), scope)
        except RuntimeOnly:
            if keep_runtime:
                return value
            raise
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [evaluate_json(item, scope, keep_runtime=keep_runtime) for item in items]
    if isinstance(value, dict):
        return _evaluate_object(cast("dict[str, Any]", value), scope, keep_runtime)
    return value


def _evaluate_object(value: dict[str, Any], scope: Scope, keep_runtime: bool) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in value.items():
        if key == "copy" and is_property_copy(item):
            for loop in cast("list[dict[str, Any]]", item):
                result[loop["name"]] = evaluate_loop(loop, scope, keep_runtime=keep_runtime)
            continue
        name = evaluate_json(key, scope)
        if not isinstance(name, str):
            raise ExpressionError(f"The property name '{key}' must evaluate to a string.")
        result[name] = evaluate_json(item, scope, keep_runtime=keep_runtime)
    return result


def is_property_copy(value: Any) -> bool:
    """Tell whether a "copy" key holds loops and not a property that is called so."""
    return (
        isinstance(value, list)
        and bool(cast("list[Any]", value))
        and all(
            isinstance(loop, dict)
            and {"name", "count", "input"} <= cast("dict[str, Any]", loop).keys()
            for loop in cast("list[Any]", value)
        )
    )


def evaluate_loop(loop: dict[str, Any], scope: Scope, *, keep_runtime: bool = False) -> list[Any]:
    """Evaluate a loop's `input` once for each index."""
    count = loop_count(loop, scope)
    name = str(loop.get("name", "")).lower()
    return [
        evaluate_json(loop["input"], in_loop(scope, name, index), keep_runtime=keep_runtime)
        for index in range(count)
    ]


def loop_count(loop: dict[str, Any], scope: Scope) -> int:
    """Return how often a copy loop runs, 0 to 800."""
    count = evaluate_json(loop.get("count"), scope)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 800:
        raise ExpressionError(
            f"The template copy definition '{loop.get('name', '')}' has an invalid count"
            f" '{count}'. The count must be a whole number from 0 to 800."
        )
    return count


def in_loop(scope: Scope, name: str, index: int) -> Scope:
    """Return the scope inside one turn of a copy loop."""
    return replace(scope, copies={**scope.copies, name.lower(): index, "": index})


def read_member(target: Any, key: Any) -> Any:
    """Return target[key]; names of properties are compared without regard to case."""
    if isinstance(target, dict):
        members = cast("dict[str, Any]", target)
        if not isinstance(key, str):
            raise ExpressionError(
                f"The language expression property '{key}' can't be evaluated, property name"
                " must be a string."
            )
        if key in members:
            return members[key]
        lower = key.lower()
        for name, value in members.items():
            if name.lower() == lower:
                return value
        raise ExpressionError(
            f"The language expression property '{key}' doesn't exist, available properties are"
            f" '{', '.join(members)}'."
        )
    if isinstance(target, list):
        items = cast("list[Any]", target)
        if isinstance(key, bool) or not isinstance(key, int):
            raise ExpressionError(
                f"The language expression property '{key}' can't be evaluated, the array index"
                " must be an integer."
            )
        if not 0 <= key < len(items):
            raise ExpressionError(
                f"The language expression property array index '{key}' is out of bounds."
            )
        return items[key]
    raise ExpressionError(
        f"The language expression property '{key}' can't be evaluated, property path"
        " is expected on an object or an array."
    )


def _call(node: Call, scope: Scope) -> Any:
    user = scope.functions.get(node.name.lower())
    if user:
        return _call_user_function(node, user, scope)
    return find_function(node.name)(scope, node.arguments, evaluate)


def _call_user_function(node: Call, function: UserFunction, scope: Scope) -> Any:
    """Call a template's own function: it sees its parameters and its fellow functions only."""
    if len(node.arguments) != len(function.parameters):
        raise ExpressionError(
            f"Unable to evaluate the template language function '{node.name}': expected"
            f" '{len(function.parameters)}' argument(s), actual '{len(node.arguments)}'."
        )
    values = [evaluate(argument, scope) for argument in node.arguments]
    names = Names(
        "parameter",
        {
            name: (lambda value=value: value)
            for name, value in zip(function.parameters, values, strict=True)
        },
    )
    inner = replace(scope, parameters=names, lambdas={}, copies={}, in_default=False)
    return evaluate_json(function.output, inner)
