"""Microsoft.Resources over HTTP: deployments, and the place where all of it is mounted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from aiohttp import web

from azurebox.arm.description import describe
from azurebox.arm.engine import Cloud, DeploymentEngine
from azurebox.arm.group_routes import GroupRoutes
from azurebox.arm.plan import DeploymentPlan
from azurebox.arm.records import DEPLOYMENT_TYPE, Deployments, Groups, show_deployment
from azurebox.arm.requests import (
    OperationResults,
    Router,
    deployment_properties,
    link,
    read_body,
)
from azurebox.arm.whatif_routes import WhatIfRoutes
from azurebox.errors import ArmError
from azurebox.providers.base import Providers
from azurebox.resource_id import ResourceId
from azurebox.store import ResourceStore

_GROUP = "/subscriptions/{sub}/resourcegroups/{rg}"
_DEPLOYMENTS = _GROUP + "/providers/Microsoft.Resources/deployments"
_ONE = _DEPLOYMENTS + "/{name}"

# The addresses of the public cloud, which templates build names of. Source: az cloud show.
PUBLIC_CLOUD: dict[str, Any] = {
    "name": "AzureCloud",
    "gallery": "https://gallery.azure.com/",
    "graph": "https://graph.windows.net/",
    "portal": "https://portal.azure.com",
    "graphAudience": "https://graph.windows.net/",
    "activeDirectoryDataLake": "https://datalake.azure.net/",
    "batch": "https://batch.core.windows.net/",
    "media": "https://rest.media.azure.net",
    "sqlManagement": "https://management.core.windows.net:8443/",
    "vmImageAliasDoc": "https://raw.githubusercontent.com/Azure/azure-rest-api-specs/master/"
    "arm-compute/quickstart-templates/aliases.json",
    "resourceManager": "https://management.azure.com/",
    "authentication": {
        "loginEndpoint": "https://login.microsoftonline.com/",
        "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
        "tenant": "common",
        "identityProvider": "AAD",
    },
    "suffixes": {
        "acrLoginServer": ".azurecr.io",
        "azureDatalakeAnalyticsCatalogAndJob": "azuredatalakeanalytics.net",
        "azureDatalakeStoreFileSystem": "azuredatalakestore.net",
        "azureFrontDoorEndpointSuffix": "azurefd.net",
        "keyvaultDns": ".vault.azure.net",
        "sqlServerHostname": ".database.windows.net",
        "storage": "core.windows.net",
    },
}


def mount(
    router: Router,
    store: ResourceStore,
    providers: Providers,
    location_default: str,
    *,
    tenant_id: str = "",
    environment: Mapping[str, Any] | None = None,
) -> ResourcesApi:
    """Add resource groups, deployments and the lists of resources to the router.

    `environment`: what environment() answers, the public cloud's addresses by default.
    """
    cloud = Cloud(location_default, tenant_id, environment or PUBLIC_CLOUD)
    api = ResourcesApi(store, providers, cloud)
    api.mount(router)
    return api


class ResourcesApi:
    """The handlers. `is_busy` and `close` are for whoever owns the process."""

    def __init__(self, store: ResourceStore, providers: Providers, cloud: Cloud) -> None:
        self._store = store
        self._providers = providers
        self.groups = Groups(store)
        self._deployments = Deployments(store)
        self._deployments.end_interrupted()
        self._engine = DeploymentEngine(self._deployments, self.groups, providers, cloud)
        self._results = OperationResults()
        self._group_routes = GroupRoutes(store, self.groups, providers, self._results)
        self._whatif_routes = WhatIfRoutes(
            store, self.groups, providers, self._engine, self._results
        )

    @property
    def is_busy(self) -> bool:
        """Whether a deployment or a deletion is under way."""
        return self._engine.is_busy or self._results.is_busy

    def adopt(self) -> None:
        """Go on with what was under way when azurebox ended."""
        self._group_routes.adopt()

    async def close(self) -> None:
        """Give up what is under way."""
        await self._engine.close()
        await self._results.close()

    def mount(self, router: Router) -> None:
        """Add the routes."""
        self._group_routes.mount(router)
        self._whatif_routes.mount(router)
        router.add("GET", "/subscriptions/{sub}/operationresults/{id}", self._results.get)
        router.add("GET", _DEPLOYMENTS, self.list)
        router.add("PUT", _ONE, self.put)
        router.add("GET", _ONE, self.get)
        router.add("HEAD", _ONE, self.head)
        router.add("DELETE", _ONE, self.delete)
        router.add("POST", _ONE + "/validate", self.validate)
        router.add("POST", _ONE + "/cancel", self.cancel)
        router.add("POST", _ONE + "/exportTemplate", self.export)
        router.add("GET", _ONE + "/operationStatuses/{operation}", self.status)
        # .NET clients ask at the first path, az and the Python SDK at the second.
        for base in (_ONE, _GROUP + "/deployments/{name}"):
            router.add("GET", base + "/operations", self.list_operations)
            router.add("GET", base + "/operations/{operation}", self.get_operation)

    async def put(self, request: web.Request, sub: str, rg: str, name: str) -> web.StreamResponse:
        """Begin a deployment: 201, or 200 when one of that name was there."""
        body = await read_body(request)
        id = _id(sub, rg, name)
        record, is_new = body.checked(lambda: self._engine.start(id, deployment_properties(body)))
        path = f"{record.id}/operationStatuses/{record.private['operation_id']}"
        return web.json_response(
            show_deployment(record),
            status=201 if is_new else 200,
            headers={"Azure-AsyncOperation": link(request, path)},
        )

    async def validate(
        self, request: web.Request, sub: str, rg: str, name: str
    ) -> web.StreamResponse:
        """Answer what a deployment would write, or why it is refused."""
        body = await read_body(request)
        id = _id(sub, rg, name)
        properties = deployment_properties(body)

        def check() -> tuple[DeploymentPlan, list[str]]:
            plan = self._engine.plan(id, properties)
            return plan, self._engine.validated(plan)

        plan, ids = body.checked(check)
        shown = describe(plan)
        shown |= {
            "provisioningState": "Succeeded",
            "timestamp": "0001-01-01T00:00:00Z",
            "duration": "PT0S",
            "validatedResources": [{"id": resource} for resource in ids],
        }
        answer = {"id": str(id), "name": name, "type": DEPLOYMENT_TYPE, "properties": shown}
        return web.json_response(answer)

    async def get(self, request: web.Request, sub: str, rg: str, name: str) -> web.StreamResponse:
        """Answer the deployment."""
        return web.json_response(show_deployment(self._require(sub, rg, name)))

    async def head(self, request: web.Request, sub: str, rg: str, name: str) -> web.StreamResponse:
        """Answer 204 for a deployment that is there, 404 otherwise."""
        found = self._deployments.find(_id(sub, rg, name))
        return web.Response(status=204 if found else 404)

    async def list(self, request: web.Request, sub: str, rg: str) -> web.StreamResponse:
        """Answer the group's deployments, newest first."""
        group = self.groups.require(sub, rg)
        shown = [show_deployment(record) for record in self._deployments.list(group["id"])]
        wanted = request.query.get("$filter", "")
        if wanted.startswith("provisioningState eq "):
            state = wanted.rpartition(" ")[2].strip("'").lower()
            shown = [d for d in shown if d["properties"]["provisioningState"].lower() == state]
        shown.sort(key=lambda d: d["properties"]["timestamp"], reverse=True)
        top = request.query.get("$top", "")
        return web.json_response({"value": shown[: int(top)] if top.isdigit() else shown})

    async def status(
        self, request: web.Request, sub: str, rg: str, name: str, operation: str
    ) -> web.StreamResponse:
        """Answer how a deployment stands: the address in Azure-AsyncOperation."""
        record = self._require(sub, rg, name)
        if record.private.get("operation_id") != operation:
            raise ArmError(
                404,
                "DeploymentOperationNotFound",
                f"The deployment operation '{operation}' of '{name}' could not be found.",
            )
        properties = record.body["properties"]
        answer: dict[str, Any] = {"status": properties["provisioningState"]}
        if "error" in properties:
            answer["error"] = properties["error"]
        return web.json_response(answer)

    async def list_operations(
        self, request: web.Request, sub: str, rg: str, name: str
    ) -> web.StreamResponse:
        """Answer what has been done for each resource."""
        return web.json_response({"value": self._require(sub, rg, name).private["operations"]})

    async def get_operation(
        self, request: web.Request, sub: str, rg: str, name: str, operation: str
    ) -> web.StreamResponse:
        """Answer what has been done for one resource."""
        record = self._require(sub, rg, name)
        for known in cast("list[dict[str, Any]]", record.private["operations"]):
            if known["operationId"].lower() == operation.lower():
                return web.json_response(known)
        raise ArmError(
            404,
            "DeploymentOperationNotFound",
            f"The deployment operation '{operation}' of '{name}' could not be found.",
        )

    async def cancel(
        self, request: web.Request, sub: str, rg: str, name: str
    ) -> web.StreamResponse:
        """Stop a deployment that runs."""
        self.groups.require(sub, rg)
        await self._engine.cancel(_id(sub, rg, name))
        return web.Response(status=204)

    async def export(
        self, request: web.Request, sub: str, rg: str, name: str
    ) -> web.StreamResponse:
        """Answer the template as it was sent."""
        return web.json_response({"template": self._require(sub, rg, name).private["template"]})

    async def delete(
        self, request: web.Request, sub: str, rg: str, name: str
    ) -> web.StreamResponse:
        """Forget a deployment; what it deployed stays."""
        self.groups.require(sub, rg)
        record = self._deployments.find(_id(sub, rg, name))
        if record is None:
            return web.Response(status=204)
        if record.body["properties"]["provisioningState"] in ("Accepted", "Running"):
            raise ArmError(
                409,
                "DeploymentActive",
                f"The deployment '{name}' is still active: cancel it before it is deleted.",
            )
        self._deployments.remove(record.id)

        async def nothing() -> None:
            return None

        location = self._results.follow(request, sub, asyncio.create_task(nothing()))
        return web.Response(status=202, headers={"Location": location, "Retry-After": "1"})

    def _require(self, sub: str, rg: str, name: str) -> Any:
        self.groups.require(sub, rg)
        return self._deployments.require(_id(sub, rg, name))


def _id(sub: str, rg: str, name: str) -> ResourceId:
    return ResourceId(sub, rg, DEPLOYMENT_TYPE, (name,))
