"""The table of functions, filled by the modules beside this one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azurebox.arm.expressions import ExpressionError, Node
from azurebox.arm.scope import Evaluate, Function, Scope

_FUNCTIONS: dict[str, Function] = {}
_SPELLING: dict[str, str] = {}
_list_family: list[Callable[[str], Function]] = []


def find_function(name: str) -> Function:
    """Return a function by name, in any case.

    Raises: ExpressionError with ARM's sentence for a name that nobody defines.
    """
    function = _FUNCTIONS.get(name.lower())
    if function is None and name.lower().startswith("list") and _list_family:
        function = _list_family[0](name)
    if function is None:
        raise ExpressionError(
            f"The template function '{name}' is not valid. Please see"
            " https://aka.ms/arm-functions for usage details."
        )
    return function


def is_function(name: str) -> bool:
    """Tell whether templates may call a function of this name."""
    return name.lower() in _FUNCTIONS or name.lower().startswith("list")


def function_names() -> list[str]:
    """Return all names, each as it is usually spelled."""
    return sorted(_SPELLING.values())


def pure(
    name: str, minimum: int, maximum: int | None = -1
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of values alone. `maximum`: -1 = `minimum`, None = any number."""

    def register(body: Callable[..., Any]) -> Callable[..., Any]:
        def run(scope: Scope, arguments: tuple[Node, ...], evaluate: Evaluate) -> Any:
            check_count(name, arguments, minimum, minimum if maximum == -1 else maximum)
            return body(*[evaluate(argument, scope) for argument in arguments])

        _add(name, run)
        return body

    return register


def scoped(
    name: str, minimum: int, maximum: int | None = -1
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function that also sees the scope, as its first argument."""

    def register(body: Callable[..., Any]) -> Callable[..., Any]:
        def run(scope: Scope, arguments: tuple[Node, ...], evaluate: Evaluate) -> Any:
            check_count(name, arguments, minimum, minimum if maximum == -1 else maximum)
            return body(scope, *[evaluate(argument, scope) for argument in arguments])

        _add(name, run)
        return body

    return register


def lazy(
    name: str, minimum: int, maximum: int | None = -1
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function that evaluates its arguments itself: body(scope, evaluate, *nodes)."""

    def register(body: Callable[..., Any]) -> Callable[..., Any]:
        def run(scope: Scope, arguments: tuple[Node, ...], evaluate: Evaluate) -> Any:
            check_count(name, arguments, minimum, minimum if maximum == -1 else maximum)
            return body(scope, evaluate, *arguments)

        _add(name, run)
        return body

    return register


def check_count(name: str, arguments: tuple[Node, ...], minimum: int, maximum: int | None) -> None:
    """Raises: ExpressionError when the number of arguments is not one the function takes."""
    if len(arguments) < minimum or (maximum is not None and len(arguments) > maximum):
        expected = (
            f"{minimum}"
            if minimum == maximum
            else f"between {minimum} and {maximum}"
            if maximum is not None
            else f"at least {minimum}"
        )
        raise ExpressionError(
            f"Unable to evaluate template language function '{name}': function requires"
            f" {expected} argument(s) while {len(arguments)} were provided. Please see"
            f" https://aka.ms/arm-resource-functions/#{name.lower()} for usage details."
        )


def _add(name: str, run: Function) -> None:
    _FUNCTIONS[name.lower()] = run
    _SPELLING[name.lower()] = name


def list_family(make: Callable[[str], Function]) -> Callable[[str], Function]:
    """Register what makes listKeys, listSecrets, ...: any name that begins with "list"."""
    _list_family.append(make)
    return make
