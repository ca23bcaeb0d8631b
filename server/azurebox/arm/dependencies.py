"""What waits for what: dependsOn, resources that expressions read, and batches of loops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from azurebox.arm.evaluation import evaluate, evaluate_json
from azurebox.arm.expressions import Call, ExpressionError, is_expression, parse_expression, walk
from azurebox.arm.planned import NOT_BODY, PlannedResource
from azurebox.arm.refusals import validation_failed
from azurebox.arm.scope import RuntimeOnly
from azurebox.arm.template import Template
from azurebox.errors import ArmError


def with_dependencies(
    resource: PlannedResource, found: list[PlannedResource], template: Template
) -> PlannedResource:
    """Return the resource with the keys of all it waits for.

    Raises: TemplateError for a dependency that the template does not define.
    """
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
            if resource.is_group:  # as subscriptionResourceId() writes it, and Bicep with it
                root = f"/subscriptions/{resource.scope.facts.subscription_id}/providers"
                names.add(f"{root}/{resource.type}/{resource.name}".lower())
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
        {k: v for k, v in resource.declaration.items() if k.lower() not in NOT_BODY},
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


def refuse_circles(resources: list[PlannedResource]) -> None:
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
