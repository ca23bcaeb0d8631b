"""What an expression knows about its deployment: parameters, variables, group, subscription."""

from __future__ import annotations

from typing import Any

from azurebox.arm.expressions import ExpressionError
from azurebox.arm.functions.checks import text
from azurebox.arm.functions.registry import scoped
from azurebox.arm.scope import Scope


@scoped("parameters", 1)
def parameters(scope: Scope, name: Any) -> Any:
    """Return the value of a parameter."""
    return scope.parameters[text("parameters", 1, name)]


@scoped("variables", 1)
def variables(scope: Scope, name: Any) -> Any:
    """Return the value of a variable."""
    return scope.variables[text("variables", 1, name)]


@scoped("resourceGroup", 0)
def resource_group(scope: Scope) -> dict[str, Any]:
    """Return the group as GET shows it."""
    if scope.facts.group is None:
        raise ExpressionError(
            "The template function 'RESOURCEGROUP' is not expected at this location."
        )
    return scope.facts.group


@scoped("subscription", 0)
def subscription(scope: Scope) -> dict[str, Any]:
    """Return id, subscriptionId, tenantId and displayName."""
    id = scope.facts.subscription_id
    return {
        "id": f"/subscriptions/{id}",
        "subscriptionId": id,
        "tenantId": scope.facts.tenant_id,
        "displayName": "azurebox",
    }


@scoped("tenant", 0)
def tenant(scope: Scope) -> dict[str, Any]:
    """Return tenantId."""
    return {"tenantId": scope.facts.tenant_id}


@scoped("deployment", 0)
def deployment(scope: Scope) -> dict[str, Any]:
    """Return the deployment's name, location (of a subscription's one), template and parameters."""
    facts = scope.facts
    result: dict[str, Any] = {
        "name": facts.name,
        "properties": {
            "template": facts.template,
            "templateHash": facts.template.get("metadata", {})
            .get("_generator", {})
            .get("templateHash", ""),
            "parameters": facts.parameters,
            "mode": "Incremental",
            "provisioningState": "Accepted",
        },
    }
    if facts.group is None:
        result["location"] = facts.location
    return result


@scoped("environment", 0)
def environment(scope: Scope) -> dict[str, Any]:
    """Return the cloud's addresses."""
    return scope.facts.environment


@scoped("deployer", 0)
def deployer(scope: Scope) -> dict[str, Any]:
    """Return who deploys."""
    return {
        "objectId": scope.facts.environment.get("deployerObjectId", ""),
        "tenantId": scope.facts.tenant_id,
        "userPrincipalName": "",
    }
