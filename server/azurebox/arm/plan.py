"""What a template asks for: every resource with its id and what it waits for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from azurebox.arm.dependencies import refuse_circles, with_dependencies
from azurebox.arm.evaluation import evaluate_json, in_loop, loop_count
from azurebox.arm.expressions import ExpressionError
from azurebox.arm.functions.resources import typed_path
from azurebox.arm.planned import PlannedResource
from azurebox.arm.refusals import validation_failed
from azurebox.arm.scope import DeploymentFacts, RuntimeOnly, Scope, Symbol
from azurebox.arm.template import Template, bind
from azurebox.arm.template_checks import check_expressions


@dataclass(frozen=True, slots=True)
class DeploymentPlan:
    """A template bound to its parameters."""

    template: Template
    scope: Scope
    resources: tuple[PlannedResource, ...]

    def shown_parameters(self) -> dict[str, Any]:
        """Return the parameters as answers show them: with types, secure ones without values."""
        types = self.template.types
        shown: dict[str, Any] = {}
        for name, schema in self.template.parameters.items():
            entry: dict[str, Any] = {"type": types.display(schema)}
            if not types.is_secure(schema):
                value = self.scope.parameters[name]
                if value is None:
                    continue
                entry["value"] = value
            shown[name[:1].lower() + name[1:]] = entry
        return shown


def plan_deployment(
    source: Any,
    parameters: Mapping[str, Any],
    facts: DeploymentFacts,
    outer: Scope | None = None,
) -> DeploymentPlan:
    """Return what a template asks for.

    `outer`: the scope whose names the template's expressions use, for a nested deployment that is
    evaluated in its parent's scope. Raises: TemplateError.
    """
    template = Template(source)
    if outer is None:
        check_expressions(template)
        scope = bind(template, parameters, facts)
    else:
        scope = outer
    found = [
        resource
        for symbol, declaration, path in template.resources
        for resource in _expand(symbol, declaration, path, scope, facts)
    ]
    _refuse_doubles(found)
    scope = _with_symbols(scope, found, template)
    found = [
        replace(resource, scope=replace(resource.scope, **_symbols_of(scope))) for resource in found
    ]
    waiting = [with_dependencies(resource, found, template) for resource in found]
    refuse_circles(waiting)
    return DeploymentPlan(template, scope, tuple(waiting))


def _symbols_of(scope: Scope) -> dict[str, Any]:
    return {"symbols": scope.symbols, "groups_of_symbols": scope.groups_of_symbols}


def _expand(
    symbol: str, declaration: dict[str, Any], path: str, scope: Scope, facts: DeploymentFacts
) -> Iterator[PlannedResource]:
    loop = cast("dict[str, Any] | None", declaration.get("copy"))
    if not isinstance(loop, dict):
        yield _place(symbol, declaration, path, scope, facts)
        return
    try:
        count = loop_count(loop, scope)
    except (ExpressionError, RuntimeOnly) as e:
        raise validation_failed(str(e).rstrip("."), f"{path}.copy") from e
    for index in range(count):
        turn = in_loop(scope, str(loop.get("name", "")), index)
        name = f"{symbol}[{index}]" if symbol else ""
        yield _place(name, declaration, path, turn, facts)


def _place(
    symbol: str, declaration: dict[str, Any], path: str, scope: Scope, facts: DeploymentFacts
) -> PlannedResource:
    def early(key: str, default: Any = None) -> Any:
        try:
            return evaluate_json(declaration.get(key, default), scope)
        except ExpressionError as e:
            raise validation_failed(
                f"The template resource '{symbol or declaration.get('name')}' at line '{{line}}'"
                f" and column '{{column}}' is not valid: {str(e).rstrip('.')}. Please see"
                " https://aka.ms/arm-functions for usage details",
                f"{path}.{key}",
            ) from e
        except RuntimeOnly as e:
            raise validation_failed(
                f"The template resource '{symbol or declaration.get('name')}' is not valid: The"
                " template function 'reference' is not expected at this location. Please see"
                " https://aka.ms/arm-functions for usage details",
                f"{path}.{key}",
            ) from e

    type, name = str(early("type")), early("name")
    if not isinstance(name, str) or not name:
        raise validation_failed(
            f"The template resource at '{path}' has an invalid name: it must be a string that is"
            " not empty",
            f"{path}.name",
        )
    wanted = early("condition", True)
    if not isinstance(wanted, bool):
        raise validation_failed(
            f"The template resource '{name}' has an invalid condition: it must be true or false",
            f"{path}.condition",
        )
    place = (early("scope"), early("resourceGroup"), early("subscriptionId"))
    id = _id_of(type, name, place, facts, path)
    return PlannedResource(
        key=(symbol or id).lower(),
        id=id,
        type=type,
        name=name,
        api_version=str(early("apiVersion")),
        declaration=declaration,
        scope=scope,
        path=path,
        is_existing=declaration.get("existing") is True,
        is_wanted=wanted,
    )


def _id_of(
    type: str, name: str, place: tuple[Any, Any, Any], facts: DeploymentFacts, path: str
) -> str:
    """Return a resource's id; `place` is what it says of scope, group and subscription."""
    scope, group, subscription = place
    try:
        tail = typed_path("resourceId", type, tuple(name.split("/")))
    except ExpressionError as e:
        segments = type.count("/")
        raise validation_failed(
            f"The template resource '{name}' for type '{type}' at line '{{line}}' and column"
            f" '{{column}}' has incorrect segment lengths. A nested resource type must have"
            " identical number of segments as its resource name. A root resource type must have"
            f" segment length one greater than its resource name ({segments} expected). Please see"
            " https://aka.ms/arm-syntax-resources for usage details",
            f"{path}.type",
        ) from e
    root = f"/subscriptions/{subscription or facts.subscription_id}"
    if type.lower() == "microsoft.resources/resourcegroups":
        return f"{root}/resourceGroups/{name}"
    group_name = group or (facts.group["name"] if facts.group else None)
    here = f"{root}/resourceGroups/{group_name}" if group_name else root
    if isinstance(scope, str) and scope:
        base = scope if scope.startswith("/") else f"{here}/providers/{scope}"
        return f"{base.rstrip('/')}/providers/{tail}"
    return f"{here}/providers/{tail}"


def _refuse_doubles(found: list[PlannedResource]) -> None:
    seen: set[str] = set()
    for resource in found:
        if resource.is_existing or not resource.is_wanted:
            continue
        if resource.id.lower() in seen:
            raise validation_failed(
                f"The resource '{resource.type}/{resource.name}' at line '{{line}}' and column"
                " '{column}' is defined multiple times in a template. Please see"
                " https://aka.ms/arm-syntax-resources for usage details",
                resource.path,
            )
        seen.add(resource.id.lower())


def _with_symbols(scope: Scope, found: list[PlannedResource], template: Template) -> Scope:
    symbols: dict[str, Symbol] = {}
    groups: dict[str, list[str]] = {}
    for resource in found:
        symbol = Symbol(resource.id, resource.type, resource.name, resource.api_version)
        if template.is_symbolic:
            symbols[resource.key] = symbol
            loop, bracket, _ = resource.key.partition("[")
            if bracket:
                groups.setdefault(loop, []).append(resource.key)
        else:
            symbols[resource.name.lower()] = symbol
            symbols[f"{resource.type}/{resource.name}".lower()] = symbol
    for name, declaration, _ in template.resources:
        if name and "copy" in declaration:
            groups.setdefault(name.lower(), [])
    tuples = {name: tuple(keys) for name, keys in groups.items()}
    return replace(scope, symbols=symbols, groups_of_symbols=tuples)
