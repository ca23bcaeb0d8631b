"""Ids of resources, and what live resources say: reference and the list functions."""

from __future__ import annotations

from typing import Any

from azurebox.arm.expressions import ExpressionError, Node
from azurebox.arm.functions.checks import text
from azurebox.arm.functions.registry import check_count, list_family, pure, scoped
from azurebox.arm.scope import Evaluate, Function, RuntimeOnly, Scope, Symbol


def typed_path(function: str, type: str, names: tuple[str, ...]) -> str:
    """Return "Microsoft.X/type/name/child/name" from a type and its names.

    Raises: ExpressionError when their numbers do not match.
    """
    namespace, *types = type.split("/")
    if len(types) != len(names) or not types:
        raise ExpressionError(
            f"Unable to evaluate template language function '{function}': the type '{type}'"
            f" requires '{len(types)}' resource name argument(s). Please see"
            f" https://aka.ms/arm-functions-{function.lower()} for usage details."
        )
    return "/".join(
        [namespace, *[part for pair in zip(types, names, strict=True) for part in pair]]
    )


def _split(
    function: str, arguments: tuple[Any, ...], scopes: int
) -> tuple[list[str], str, tuple[str, ...]]:
    """Take [up to `scopes` ids,] type, names... apart: the type is the first with a slash."""
    texts = [text(function, at, value) for at, value in enumerate(arguments, 1)]
    place = next((at for at, value in enumerate(texts) if "/" in value), None)
    if place is None or place > scopes:
        raise ExpressionError(
            f"Unable to evaluate template language function '{function}': the resource type is"
            " not valid, it must have a namespace and a type, such as 'Microsoft.App/jobs'."
        )
    return texts[:place], texts[place], tuple(texts[place + 1 :])


@scoped("resourceId", 2, None)
def resource_id(scope: Scope, *arguments: Any) -> str:
    """Return the id of a resource: ([subscription,] [group,] type, names...)."""
    scopes, type, names = _split("resourceId", arguments, 2)
    path = typed_path("resourceId", type, names)
    if scope.facts.group is None and not scopes:
        return f"/subscriptions/{scope.facts.subscription_id}/providers/{path}"
    group = scopes[-1] if scopes else scope.facts.group_name
    subscription = scopes[0] if len(scopes) == 2 else scope.facts.subscription_id
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{path}"


@scoped("subscriptionResourceId", 2, None)
def subscription_resource_id(scope: Scope, *arguments: Any) -> str:
    """Return the id of a resource of a subscription: ([subscription,] type, names...)."""
    scopes, type, names = _split("subscriptionResourceId", arguments, 1)
    subscription = scopes[0] if scopes else scope.facts.subscription_id
    path = typed_path("subscriptionResourceId", type, names)
    return f"/subscriptions/{subscription}/providers/{path}"


@pure("tenantResourceId", 2, None)
def tenant_resource_id(*arguments: Any) -> str:
    """Return the id of a resource of the tenant: (type, names...)."""
    _, type, names = _split("tenantResourceId", arguments, 0)
    return f"/providers/{typed_path('tenantResourceId', type, names)}"


@pure("extensionResourceId", 3, None)
def extension_resource_id(base: Any, type: Any, *names: Any) -> str:
    """Return the id of a resource that extends another: (its id, type, names...)."""
    texts = tuple(text("extensionResourceId", at, name) for at, name in enumerate(names, 3))
    path = typed_path("extensionResourceId", text("extensionResourceId", 2, type), texts)
    return f"{text('extensionResourceId', 1, base).rstrip('/')}/providers/{path}"


@pure("managementGroupResourceId", 3, None)
def management_group_resource_id(group: Any, type: Any, *names: Any) -> str:
    """Return the id of a resource of a management group: (group, type, names...)."""
    texts = tuple(text("managementGroupResourceId", at, name) for at, name in enumerate(names, 3))
    path = typed_path(
        "managementGroupResourceId", text("managementGroupResourceId", 2, type), texts
    )
    return f"/providers/Microsoft.Management/managementGroups/{group}/providers/{path}"


@scoped("reference", 1, 3)
def reference(scope: Scope, target: Any, *arguments: Any) -> Any:
    """Return a resource's properties, or all of it with 'Full'."""
    target = text("reference", 1, target)
    options = [text("reference", at, value) for at, value in enumerate(arguments, 2)]
    full = bool(options) and options[-1].lower() == "full"
    versions = options[:-1] if full else options
    symbol = find_symbol(scope, target)
    id = symbol.id if symbol else target
    version = versions[0] if versions else symbol.api_version if symbol else None
    resource = scope.runtime.reference(id, version)
    return resource if full else resource.get("properties", {})


@scoped("references", 1, 2)
def references(scope: Scope, target: Any, *arguments: Any) -> list[Any]:
    """Return `reference` of each instance of a resource in a loop."""
    if scope.symbols is None:
        raise RuntimeOnly(target)
    names = scope.groups_of_symbols.get(text("references", 1, target).lower())
    if names is None:
        raise ExpressionError(f"The resource loop '{target}' is not defined in the template.")
    return [reference(scope, name, *arguments) for name in names]


@scoped("resourceInfo", 1)
def resource_info(scope: Scope, target: Any) -> dict[str, Any]:
    """Return id, name, type and apiVersion of one of the template's resources."""
    symbol = find_symbol(scope, text("resourceInfo", 1, target))
    if symbol is None:
        raise ExpressionError(f"The resource '{target}' is not defined in the template.")
    return {
        "id": symbol.id,
        "name": symbol.name,
        "type": symbol.type,
        "apiVersion": symbol.api_version,
    }


def find_symbol(scope: Scope, target: str) -> Symbol | None:
    """Return the template's resource of a symbolic or (in an array template) plain name."""
    if target.startswith("/"):
        return None
    if scope.symbols is None:
        raise RuntimeOnly(target)
    symbol = scope.symbols.get(target.lower())
    if symbol is None:
        raise ExpressionError(
            f"The resource '{target}' is not defined in the template. Please see"
            " https://aka.ms/arm-syntax for usage details."
        )
    return symbol


@list_family
def make_list_function(name: str) -> Function:
    """Make listKeys, listSecrets, ...: (resource, api version[, body])."""

    def run(scope: Scope, arguments: tuple[Node, ...], evaluate: Evaluate) -> Any:
        check_count(name, arguments, 1, 3)
        target, *rest = [evaluate(argument, scope) for argument in arguments]
        symbol = find_symbol(scope, text(name, 1, target))
        version = text(name, 2, rest[0]) if rest else symbol.api_version if symbol else ""
        body = rest[1] if len(rest) > 1 else None
        return scope.runtime.call(symbol.id if symbol else target, name, version, body)

    return run
