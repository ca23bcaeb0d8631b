"""What answers say of a deployment before it has run: hashes, providers, dependencies."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

from azurebox.arm.plan import DeploymentPlan
from azurebox.arm.planned import PlannedResource
from azurebox.arm.refusals import TemplateError
from azurebox.arm.scope import RuntimeOnly


def describe(plan: DeploymentPlan) -> dict[str, Any]:
    """Return the properties of a deployment that are known before it runs."""
    shown: dict[str, Any] = {"templateHash": template_hash(plan.template.source)}
    parameters = plan.shown_parameters()
    if parameters:
        shown["parameters"] = parameters
    shown["mode"] = "Incremental"
    shown["correlationId"] = str(uuid.uuid4())
    written = [r for r in plan.resources if r.is_wanted and not r.is_existing]
    shown["providers"] = _provider_list(written)
    shown["dependencies"] = _dependency_list(plan, written)
    return shown


def operation_id(seconds: float) -> str:
    """Return the 20 digits ARM names an operation by: they fall as time goes on."""
    ticks = 621_355_968_000_000_000 + int(seconds * 10_000_000)
    return f"{2**63 - 1 - ticks:020d}"


def template_hash(template: Mapping[str, Any]) -> str:
    """Return a number that changes with the template's content (not the service's own number)."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return str(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


def _provider_list(resources: list[PlannedResource]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, list[str | None]]] = {}
    for resource in resources:
        namespace, _, type = resource.type.partition("/")
        places = found.setdefault(namespace, {}).setdefault(type, [])
        location = _location(resource)
        if location not in places:
            places.append(location)
    return [
        {
            "namespace": namespace,
            "resourceTypes": [{"resourceType": t, "locations": at} for t, at in types.items()],
        }
        for namespace, types in found.items()
    ]


def _location(resource: PlannedResource) -> str | None:
    try:
        value = resource.evaluate(resource.declaration.get("location"), resource.scope)
    except (TemplateError, RuntimeOnly):
        return None
    return str(value).replace(" ", "").lower() if value else None


def _dependency_list(
    plan: DeploymentPlan, resources: list[PlannedResource]
) -> list[dict[str, Any]]:
    by_key = {resource.key: resource for resource in plan.resources}

    def short(resource: PlannedResource) -> dict[str, Any]:
        return {
            "id": resource.id,
            "resourceType": resource.type,
            "resourceName": resource.name,
        }

    return [
        {
            "dependsOn": [
                short(by_key[key]) for key in sorted(resource.waits_for) if by_key[key].is_wanted
            ],
            **short(resource),
        }
        for resource in resources
        if resource.waits_for
    ]
