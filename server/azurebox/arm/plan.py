"""What a template asks for: every resource with its id and what it waits for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from azurebox.arm.evaluation import evaluate, evaluate_json, in_loop, loop_count
from azurebox.arm.expressions import Call, ExpressionError, is_expression, parse_expression, walk
from azurebox.arm.functions.resources import typed_path
from azurebox.arm.refusals import TemplateError, validation_failed
from azurebox.arm.scope import DeploymentFacts, RuntimeOnly, Scope, Symbol
from azurebox.arm.template import Template, bind, check_expressions
from azurebox.errors import ArmError

DEPLOYMENT_TYPE = "microsoft.resources/deployments"

_NOT_BODY = {
    "apiversion",
    "comments",
    "condition",
    "copy",
    "dependson",
    "existing",
    "metadata",
    "name",
    "resourcegroup",
    "scope",
    "subscriptionid",
    "type",
}


@dataclass(frozen=True, slots=True)
class PlannedResource:
    """One resource of a template, a loop's turn being one.

    `key`: its symbolic name (with [index] in a loop), or in an array template its id; lower case.
    `waits_for`: keys of resources that must be there first.
    """

    key: str
    id: str
    type: str
    name: str
    api_version: str
    declaration: dict[str, Any]
    scope: Scope
    path: str
    waits_for: frozenset[str] = frozenset()
    is_existing: bool = False
    is_wanted: bool = True

    @property
    def is_deployment(self) -> bool:
        """Whether it is a nested deployment."""
        return self.type.lower() == DEPLOYMENT_TYPE

    def body(self, scope: Scope, *, keep_runtime: bool = False) -> dict[str, Any]:
        """Return what is sent to the resource's provider.

        Raises: TemplateError; RuntimeOnly when it needs what only the running deployment has.
        """
        declared = {k: v for k, v in self.declaration.items() if k.lower() not in _NOT_BODY}
        return self.evaluate(declared, scope, keep_runtime=keep_runtime)

    def evaluate(self, value: Any, scope: Scope, *, keep_runtime: bool = False) -> Any:
        """Return a part of the declaration with its expressions evaluated.

        Raises: TemplateError; RuntimeOnly when it needs what only the running deployment has.
        """
        try:
            return evaluate_json(value, scope, keep_runtime=keep_runtime)
        except ExpressionError as e:
            raise self.refusal(e) from e

    def refusal(self, error: ExpressionError) -> TemplateError:
        """Return ARM's error for an expression of this resource that has no value."""
        reason = str(error).rstrip(".")
        return TemplateError(
            f"Unable to process template language expressions for resource '{self.id}' at line"
            f" '{{line}}' and column '{{column}}'. '{reason}.'",
            self.path,
        )


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
    waiting = [_with_dependencies(resource, found, template) for resource in found]
    _refuse_circles(waiting)
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


def _with_dependencies(
    resource: PlannedResource, found: list[PlannedResource], template: Template
) -> PlannedResource:
    targets = _Targets(found, template)
    keys: set[str] = set()
    declared = cast("list[Any]", resource.declaration.get("dependsOn") or [])
    for at, entry in enumerate(declared):
        try:
            name = evaluate_json(entry, resource.scope)
        except (ExpressionError, RuntimeOnly) as e:
            raise validation_failed(
                f"The template resource '{resource.name}' has an invalid dependency: {e}".rstrip(
                    "."
                ),
                f"{resource.path}.dependsOn[{at}]",
            ) from e
        matches = targets.find(str(name))
        if matches is None:
            raise validation_failed(
                f"The resource '{name}' is not defined in the template. Please see"
                " https://aka.ms/arm-syntax for usage details",
                f"{resource.path}.dependsOn[{at}]",
            )
        keys |= matches
    for name in _referenced(resource):
        keys |= targets.find(name) or set()
    keys |= _batch_before(resource, found)
    # A loop in which every turn names the whole loop would wait for itself.
    return replace(resource, waits_for=frozenset(keys - {resource.key}))


def _batch_before(resource: PlannedResource, found: list[PlannedResource]) -> set[str]:
    """Return the keys of the turns before, for a loop that runs in batches."""
    loop = cast("dict[str, Any]", resource.declaration.get("copy") or {})
    if str(loop.get("mode", "parallel")).lower() != "serial":
        return set()
    size = max(1, int(loop.get("batchSize") or 1))
    batch = resource.scope.copies[""] // size
    return {
        other.key
        for other in found
        if other.path == resource.path and other.scope.copies[""] // size == batch - 1
    }


class _Targets:
    """All the ways in which a template may name one of its resources."""

    def __init__(self, found: list[PlannedResource], template: Template) -> None:
        self._keys: dict[str, set[str]] = {}
        for resource in found:
            _, _, relative = resource.id.partition("/providers/")
            loop = cast("dict[str, Any]", resource.declaration.get("copy") or {})
            names = {resource.key, resource.id.lower(), resource.key.partition("[")[0]}
            names |= {relative.lower(), f"{resource.type}/{resource.name}".lower()}
            if not template.is_symbolic:
                names |= {resource.name.lower(), str(loop.get("name", "")).lower()}
            for name in names:
                self._keys.setdefault(name, set()).add(resource.key)
        for name, declaration, _ in template.resources:
            loop = cast("dict[str, Any]", declaration.get("copy") or {})
            for empty in (name.lower(), str(loop.get("name", "")).lower()):
                self._keys.setdefault(empty, set())

    def find(self, name: str) -> set[str] | None:
        """Return the keys of the resources that are meant, None for an unknown name."""
        return self._keys.get(name.lower())


def _referenced(resource: PlannedResource) -> Iterator[str]:
    """Yield what the resource's expressions read with reference and list functions."""
    for text in _strings(
        {k: v for k, v in resource.declaration.items() if k.lower() not in _NOT_BODY},
        is_deployment=resource.is_deployment,
    ):
        if not is_expression(text):
            continue
        for node in walk(parse_expression(text)):
            if not isinstance(node, Call) or not node.arguments:
                continue
            name = node.name.lower()
            if name in ("reference", "references") or name.startswith("list"):
                try:
                    target = evaluate(node.arguments[0], resource.scope)
                except (ExpressionError, RuntimeOnly, ArmError):
                    # Inside a lambda or a property loop its value is not known yet: then only an
                    # explicit dependsOn orders the two, as Bicep writes it.
                    continue
                if isinstance(target, str):
                    yield target


def _strings(value: Any, *, is_deployment: bool = False) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield key
            if is_deployment and key == "properties":
                # What a nested template reads is the nested deployment's own matter.
                yield from _strings({k: v for k, v in item.items() if k != "template"})
            else:
                yield from _strings(item)


def _refuse_circles(resources: list[PlannedResource]) -> None:
    """Raises: TemplateError naming the circle when resources wait for each other."""
    waits = {resource.key: resource for resource in resources}
    done: set[str] = set()

    def visit(key: str, path: tuple[str, ...]) -> None:
        if key in path:
            circle = "', '".join(waits[at].name for at in path[path.index(key) :])
            raise validation_failed(
                "Circular dependency detected on resource: "
                f"'{waits[key].id}'. The circle is '{circle}'. Please see"
                " https://aka.ms/arm-syntax-resources for usage details",
                waits[key].path,
            )
        if key in done:
            return
        for other in sorted(waits[key].waits_for):
            visit(other, (*path, key))
        done.add(key)

    for key in waits:
        visit(key, ())
