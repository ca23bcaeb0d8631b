"""What-if over HTTP: what a deployment to a group, or to a whole subscription, would change.

A deployment to a subscription can only be asked about here: that is how a client sees what a first
deployment would make, together with the group it would make it in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from azurebox.arm.engine import DeploymentEngine, GroupsToCome
from azurebox.arm.plan import DeploymentPlan
from azurebox.arm.planned import PlannedResource
from azurebox.arm.records import DEPLOYMENT_TYPE, Groups
from azurebox.arm.requests import OperationResults, Router, deployment_properties, read_body
from azurebox.arm.whatif import compare_resource, ignored_resource, unknown_deployment
from azurebox.errors import ArmError
from azurebox.providers.base import Providers
from azurebox.resource_id import ResourceId
from azurebox.store import ResourceStore

_TAIL = "/providers/Microsoft.Resources/deployments/{name}/whatIf"
Changes = list[dict[str, Any]]


class WhatIfRoutes:
    """The handlers. They accept the question; the answer is at the Location."""

    def __init__(
        self,
        store: ResourceStore,
        groups: Groups,
        providers: Providers,
        engine: DeploymentEngine,
        results: OperationResults,
    ) -> None:
        self._store = store
        self._groups = groups
        self._providers = providers
        self._engine = engine
        self._results = results

    def mount(self, router: Router) -> None:
        """Add the routes."""
        router.add("POST", "/subscriptions/{sub}/resourcegroups/{rg}" + _TAIL, self.of_group)
        router.add("POST", "/subscriptions/{sub}" + _TAIL, self.of_subscription)

    async def of_group(
        self, request: web.Request, sub: str, rg: str, name: str
    ) -> web.StreamResponse:
        """A deployment to a group; resources that the template does not name are ignored."""
        body = await read_body(request)
        id = ResourceId(sub, rg, DEPLOYMENT_TYPE, (name,))

        def changes() -> Changes:
            plan = self._engine.plan(id, deployment_properties(body))
            found = list(self._changes(plan, {}))
            named = {str(change["resourceId"]).lower() for change in found}
            return found + [
                ignored_resource(live)
                for live in self._living(sub, rg)
                if str(live["id"]).lower() not in named
            ]

        return self._accept(request, sub, body.checked(changes))

    async def of_subscription(
        self, request: web.Request, sub: str, name: str
    ) -> web.StreamResponse:
        """A deployment to the subscription: groups, and what nested deployments put into them."""
        body = await read_body(request)
        location = body.value.get("location")
        if not isinstance(location, str) or not location:
            raise ArmError(
                400,
                "LocationRequired",
                "The location property is required for a deployment to a subscription.",
            )

        def changes() -> Changes:
            properties = deployment_properties(body)
            plan, groups = self._engine.plan_subscription(sub, name, location, properties)
            return list(self._changes(plan, groups))

        return self._accept(request, sub, body.checked(changes))

    def _accept(self, request: web.Request, sub: str, changes: Changes) -> web.StreamResponse:
        async def answer() -> Mapping[str, Any]:
            return {"status": "Succeeded", "properties": {"changes": changes}}

        location = self._results.follow(request, sub, asyncio.create_task(answer()))
        return web.Response(status=202, headers={"Location": location, "Retry-After": "1"})

    def _changes(self, plan: DeploymentPlan, groups: GroupsToCome) -> Iterator[dict[str, Any]]:
        """Yield the change of each resource, those of nested templates in their place."""
        for resource in plan.resources:
            if resource.is_existing or not resource.is_wanted:
                continue
            if not resource.is_deployment:
                yield compare_resource(resource, self._live(resource))
                continue
            nested = self._engine.plan_nested(resource, resource.scope, groups)
            if nested is None:
                yield unknown_deployment(resource)
            else:
                yield from self._changes(nested, groups)

    def _live(self, resource: PlannedResource) -> dict[str, Any] | None:
        if resource.is_group:
            return self._groups.find(resource.scope.facts.subscription_id, resource.name)
        id = ResourceId.parse(resource.id)
        try:
            return self._providers.of(id.type).get(id, resource.api_version)
        except ArmError as e:
            if e.status == 404:  # its parent is not there, or a share, which says so in its own way
                return None
            raise

    def _living(self, sub: str, rg: str) -> Iterator[dict[str, Any]]:
        """Yield the group's resources as GET shows them, children left out."""
        for resource in self._store.list(prefix=f"/subscriptions/{sub}/resourceGroups/{rg}/"):
            if resource.id.type.lower().startswith("microsoft.resources/") or resource.id.parent:
                continue
            live = self._providers.of(resource.id.type).get(resource.id, "")
            if live is not None:
                yield live
