"""Provisioner on the Azure SDKs: resource groups, deployments, what-if."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.resource.deployments.aio import DeploymentsMgmtClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient

from tunesmith.azure.errors import told
from tunesmith.azure.model_json import json_of
from tunesmith.core.errors import InfraError
from tunesmith.core.infra import type_of
from tunesmith.core.infra_config import upper_outputs
from tunesmith.core.json_values import at, items, mapping, words
from tunesmith.core.ports import Deployed, Deployment, Group, ResourceChange

_CHANGES: Mapping[str, Literal["create", "modify", "delete", "same", "ignore"]] = {
    "Create": "create",
    "Delete": "delete",
    "Modify": "modify",
    "Deploy": "modify",
    "NoChange": "same",
    "Ignore": "ignore",
    "Unsupported": "ignore",
}
_RESOURCES_VERSION = "2025-04-01"
_SUBSCRIPTION_SCHEMA = (
    "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#"
)


class AzureProvisioner:
    """See `tunesmith.core.ports.Provisioner`."""

    def __init__(
        self, resources: ResourceManagementClient, deployments: DeploymentsMgmtClient
    ) -> None:
        self._resources = resources
        self._deployments = deployments

    async def group(self, name: str) -> Group | None:
        """Return the resource group, None when there is none."""
        with told(name):
            try:
                found = await self._resources.resource_groups.get(name)
            except ResourceNotFoundError:
                return None
        return Group(found.name or name, found.location, dict(found.tags or {}))

    async def ensure_group(self, name: str, location: str, tags: Mapping[str, str]) -> None:
        """Create the group unless it is there: a PUT would replace the tags of an existing one."""
        if await self.group(name) is None:
            with told(name):
                await self._resources.resource_groups.create_or_update(
                    name, {"location": location, "tags": dict(tags)}
                )

    async def what_if(
        self, group: str, deployment: Deployment, *, new_in: str | None = None
    ) -> tuple[ResourceChange, ...]:
        """Ask ARM what would change.

        ARM refuses the question in a group that does not exist. Then it is asked what a deployment
        to the subscription would do that makes the group and deploys into it.
        """
        name, deployments = deployment.name, self._deployments.deployments
        with told(name):
            if new_in is None:
                poller = await deployments.begin_what_if(group, name, _body(deployment))
            else:
                poller = await deployments.begin_what_if_at_subscription_scope(
                    name, _body_with_group(group, new_in, deployment)
                )
            answer = json_of(await poller.result())
        if error := mapping(answer.get("error")):
            raise InfraError(
                "infra.invalid",
                subject=deployment.name,
                reason=words(error.get("message")),
                arm_code=words(error.get("code")),
            )
        changes = items(at(answer, "properties", "changes")) or items(answer.get("changes"))
        found = (_change(mapping(change)) for change in changes)
        return tuple(change for change in found if change.type)

    async def deploy(self, group: str, deployment: Deployment) -> Deployed:
        """Deploy; being cancelled stops waiting, the deployment goes on in the cloud."""
        with told(deployment.name):
            poller = await self._deployments.deployments.begin_create_or_update(
                group, deployment.name, _body(deployment)
            )
            answer = json_of(await poller.result())
        done = _deployed(deployment.name, answer, deployment.template)
        if done.state != "Succeeded":
            reason = words(at(answer, "properties", "error", "message")) or done.state
            raise InfraError("infra.failed", subject=deployment.name, reason=reason, arm_code="")
        return done

    async def progress(self, group: str, name: str) -> tuple[tuple[str, str], ...]:
        """List the deployment's operations on resources."""
        found: list[tuple[str, str]] = []
        with told(name):
            try:
                async for operation in self._deployments.deployment_operations.list(group, name):
                    properties = mapping(json_of(operation).get("properties"))
                    subject = words(at(properties, "targetResource", "resourceName"))
                    if subject:
                        found.append((subject, words(properties.get("provisioningState"))))
            except ResourceNotFoundError:
                return ()
        return tuple(found)

    async def deployed(self, group: str, name: str) -> Deployed | None:
        """Return the deployment of that name."""
        with told(name):
            try:
                answer = json_of(await self._deployments.deployments.get(group, name))
            except ResourceNotFoundError:
                return None
        return _deployed(name, answer, {})

    async def resources(self, group: str) -> tuple[Mapping[str, Any], ...]:
        """List the group's resources; a group that is gone has none."""
        with told(group):
            try:
                return tuple(
                    [
                        json_of(found)
                        async for found in self._resources.resources.list_by_resource_group(
                            group, expand="provisioningState"
                        )
                    ]
                )
            except ResourceNotFoundError:
                return ()

    async def delete_resource(self, resource_id: str, api_version: str) -> bool:
        """Delete by id."""
        with told(resource_id.rpartition("/")[2]):
            try:
                poller = await self._resources.resources.begin_delete_by_id(
                    resource_id, api_version=api_version
                )
                await poller.result()
            except ResourceNotFoundError:
                return False
        return True

    async def delete_group(self, name: str) -> bool:
        """Delete the group and all in it."""
        with told(name):
            try:
                poller = await self._resources.resource_groups.begin_delete(name)
                await poller.result()
            except ResourceNotFoundError:
                return False
        return True


def _body(deployment: Deployment) -> Any:
    """Return the request's body. The SDK takes a plain object where its types name a model."""
    properties = {
        "mode": "Incremental",
        "template": dict(deployment.template),
        "parameters": {name: {"value": value} for name, value in deployment.parameters.items()},
    }
    return {"properties": properties}


def _body_with_group(group: str, location: str, deployment: Deployment) -> Any:
    """Return the body of a deployment to the subscription that makes the group and deploys in it.

    The values are secure parameters of it: as text they could be taken for expressions, and an
    answer would show them.
    """
    given = deployment.parameters
    nested = {
        "type": "Microsoft.Resources/deployments",
        "apiVersion": _RESOURCES_VERSION,
        "name": deployment.name,
        "resourceGroup": group,
        "dependsOn": [f"[subscriptionResourceId('Microsoft.Resources/resourceGroups', '{group}')]"],
        "properties": {
            "mode": "Incremental",
            "expressionEvaluationOptions": {"scope": "inner"},
            "template": dict(deployment.template),
            "parameters": {name: {"value": f"[parameters('{name}')]"} for name in given},
        },
    }
    made = {
        "type": "Microsoft.Resources/resourceGroups",
        "apiVersion": _RESOURCES_VERSION,
        "name": group,
        "location": location,
    }
    template = {
        "$schema": _SUBSCRIPTION_SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": {name: {"type": _type_of_value(value)} for name, value in given.items()},
        "resources": [made, nested],
    }
    whole = _body(Deployment(deployment.name, template, given))
    return {"location": location, **whole}


def _type_of_value(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, str):
        return "securestring"
    return "array" if isinstance(value, list | tuple) else "secureObject"


def _deployed(name: str, answer: Mapping[str, Any], template: Mapping[str, Any]) -> Deployed:
    properties = mapping(answer.get("properties"))
    outputs = {k: at(v, "value") for k, v in mapping(properties.get("outputs")).items()}
    ids = [words(mapping(r).get("id")) for r in items(properties.get("outputResources"))]
    return Deployed(
        name,
        words(properties.get("provisioningState")),
        upper_outputs(outputs, template),
        tuple(i for i in ids if i),
    )


def _change(change: Mapping[str, Any]) -> ResourceChange:
    resource_id = words(change.get("resourceId"))
    kind = _CHANGES.get(words(change.get("changeType")), "ignore")
    paths = [words(mapping(d).get("path")) for d in items(change.get("delta"))]
    return ResourceChange(
        resource_id,
        type_of(resource_id),
        resource_id.rpartition("/")[2],
        kind,
        tuple(p for p in paths if p),
    )
