"""Plans, starts and cancels deployments; what runs is an Execution."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from azurebox.arm.description import describe, operation_id
from azurebox.arm.execution import Execution
from azurebox.arm.expressions import ExpressionError
from azurebox.arm.live import LiveResources
from azurebox.arm.plan import DeploymentPlan, plan_deployment
from azurebox.arm.planned import PlannedResource
from azurebox.arm.records import (
    ACTIVE_STATES,
    Deployments,
    Groups,
    iso_duration,
    iso_time,
)
from azurebox.arm.scope import DeploymentFacts, RuntimeOnly, Scope
from azurebox.errors import ArmError
from azurebox.providers.base import Providers
from azurebox.resource_id import ResourceId
from azurebox.store import Resource

GroupsToCome = Mapping[str, dict[str, Any]]
"""Groups that a deployment to a subscription would make, as GET would show them, by lower name."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """Facts of the whole box that expressions can ask for."""

    location: str
    tenant_id: str
    environment: Mapping[str, Any] = field(default_factory=dict[str, Any])


class DeploymentEngine:
    """Plans, starts and cancels deployments, and keeps their records true."""

    def __init__(
        self, deployments: Deployments, groups: Groups, providers: Providers, cloud: Cloud
    ) -> None:
        self._deployments = deployments
        self._groups = groups
        self._providers = providers
        self._cloud = cloud
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def plan(
        self,
        id: ResourceId,
        properties: Mapping[str, Any],
        outer: Scope | None = None,
        coming: GroupsToCome | None = None,
    ) -> DeploymentPlan:
        """Return what a deployment to a group would do; the group may be one to come.

        Raises: TemplateError for what is wrong with it; ArmError for a group or a resource type
        that is not there.
        """
        group = (coming or {}).get(id.group.lower())
        group = group or self._groups.require(id.subscription, id.group)
        location = str(group.get("location", self._cloud.location))
        plan = self._bound(id.name, id.subscription, group, location, properties, outer)
        for resource in plan.resources:
            self._check_place(resource, coming or {})
        return plan

    def plan_subscription(
        self, subscription: str, name: str, location: str, properties: Mapping[str, Any]
    ) -> tuple[DeploymentPlan, GroupsToCome]:
        """Return what a deployment to the subscription would do, and the groups it would make.

        Raises: as `plan`.
        """
        plan = self._bound(name, subscription, None, location, properties, None)
        coming: dict[str, dict[str, Any]] = {}
        for resource in plan.resources:
            if resource.is_group and resource.is_wanted and not resource.is_existing:
                body = resource.body(resource.scope, keep_runtime=True)
                shown = {"id": resource.id, "name": resource.name, "type": resource.type}
                coming[resource.name.lower()] = {**shown, **body}
        for resource in plan.resources:
            if not resource.is_group:
                self._check_place(resource, coming)
        return plan, coming

    def _bound(
        self,
        name: str,
        subscription: str,
        group: dict[str, Any] | None,
        location: str,
        properties: Mapping[str, Any],
        outer: Scope | None,
    ) -> DeploymentPlan:
        if "templateLink" in properties and "template" not in properties:
            raise ArmError(
                400,
                "InvalidTemplateLink",
                "Template links are not followed here. Send the template itself.",
            )
        mode = str(properties.get("mode", "Incremental"))
        if mode.lower() != "incremental":
            raise ArmError(
                501,
                "NotImplemented",
                f"The deployment mode '{mode}' is not supported here, 'Incremental' is.",
            )
        template = properties.get("template")
        parameters = cast("dict[str, Any]", properties.get("parameters") or {})
        facts = DeploymentFacts(
            name=name,
            subscription_id=subscription,
            tenant_id=self._cloud.tenant_id,
            group=group,
            location=location,
            template=cast("dict[str, Any]", template) if isinstance(template, dict) else {},
            parameters=parameters,
            environment=dict(self._cloud.environment),
        )
        return plan_deployment(template, parameters, facts, outer)

    def _check_place(self, resource: PlannedResource, coming: GroupsToCome) -> None:
        if not resource.is_wanted or resource.is_existing:
            return
        try:
            id = ResourceId.parse(resource.id)
        except ValueError as e:
            raise ArmError(
                501,
                "NotImplemented",
                f"Resources outside a resource group are not supported here: '{resource.id}'.",
            ) from e
        if id.group.lower() not in coming:
            self._groups.require(id.subscription, id.group)
        if not resource.is_deployment:
            self._providers.of(id.type)

    def validated(self, plan: DeploymentPlan) -> list[str]:
        """Return the ids of all resources that a plan would write, nested ones as far as known.

        Raises: TemplateError, ArmError from inside a nested template.
        """
        ids: list[str] = []
        for resource in plan.resources:
            if resource.is_existing or not resource.is_wanted:
                continue
            ids.append(resource.id)
            if resource.is_deployment:
                nested = self.plan_nested(resource, resource.scope)
                ids += self.validated(nested) if nested else []
            else:
                try:
                    resource.body(resource.scope)
                except RuntimeOnly:
                    # Its values show when the deployment runs.
                    continue
        return ids

    def plan_nested(
        self, resource: PlannedResource, scope: Scope, coming: GroupsToCome | None = None
    ) -> DeploymentPlan | None:
        """Return the plan of a nested deployment; None while its parameters are not known."""
        properties = cast("dict[str, Any]", resource.declaration.get("properties") or {})
        options = cast("dict[str, Any]", properties.get("expressionEvaluationOptions") or {})
        is_inner = str(options.get("scope", "outer")).lower() == "inner"
        try:
            rest = {k: v for k, v in properties.items() if k != "template"}
            evaluated = resource.evaluate(rest, scope)
            return self.plan(
                ResourceId.parse(resource.id),
                {**evaluated, "template": properties.get("template")},
                None if is_inner else scope,
                coming,
            )
        except RuntimeOnly:
            return None

    def start(self, id: ResourceId, properties: Mapping[str, Any]) -> tuple[Resource, bool]:
        """Begin a deployment; returns its record and whether it is new.

        Raises: TemplateError, ArmError; ArmError(409, "DeploymentActive") while one of that name
        runs.
        """
        plan = self.plan(id, properties)
        self.validated(plan)
        known = self._deployments.find(id)
        if known and known.body["properties"].get("provisioningState") in ACTIVE_STATES:
            raise ArmError(
                409,
                "DeploymentActive",
                f"Unable to edit or replace deployment '{id.name}': previous deployment from"
                f" '{known.body['properties'].get('timestamp')}' is still active. Please see"
                " https://aka.ms/arm-deploy for usage details.",
            )
        record = self._begin(id, plan)
        task = asyncio.create_task(self._run(record.id, plan), name=f"deployment {id.name}")
        self._tasks[record.id.key] = task
        task.add_done_callback(lambda _: self._tasks.pop(record.id.key, None))
        return record, known is None

    def _begin(self, id: ResourceId, plan: DeploymentPlan) -> Resource:
        begun = time.time()
        body = {"properties": describe(plan)}
        body["properties"] |= {"provisioningState": "Accepted", "timestamp": iso_time(begun)}
        body["properties"]["duration"] = iso_duration(0)
        private: dict[str, Any] = {
            "template": plan.template.source,
            "operations": [],
            "operation_id": operation_id(begun),
        }
        return self._deployments.save(Resource(id, body, private))

    async def cancel(self, id: ResourceId) -> None:
        """Stop a deployment; what its resources' providers have begun goes on.

        Raises: ArmError(404) when there is none, ArmError(409) when it has ended already.
        """
        record = self._deployments.require(id)
        task = self._tasks.get(record.id.key)
        if task is None:
            state = record.body["properties"].get("provisioningState")
            raise ArmError(
                409,
                "DeploymentCannotBeCancelled",
                f"The deployment '{id.name}' cannot be cancelled because it is in provisioning"
                f" state '{state}'.",
            )
        task.cancel()
        await asyncio.wait([task])

    @property
    def is_busy(self) -> bool:
        """Whether a deployment is under way."""
        return bool(self._tasks)

    async def close(self) -> None:
        """Cancel what is under way; the records say so after the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, id: ResourceId, plan: DeploymentPlan) -> None:
        await Execution(
            id, plan, self._deployments, self._providers, self._new_live, self._run_nested
        ).run()

    async def _run_nested(
        self, resource: PlannedResource, live: LiveResources
    ) -> tuple[bool, dict[str, Any]]:
        """Carry a nested deployment out; returns whether it is new, and its properties at the end.

        It shares its parent's task, so that cancelling the parent cancels it.
        """
        scope = live.attach(resource.scope)
        plan = await live.evaluate(lambda: self.plan_nested(resource, scope))
        if plan is None:
            raise ExpressionError("The nested deployment's parameters have no value.")
        id = ResourceId.parse(resource.id)
        known = self._deployments.find(id)
        if known and known.body["properties"].get("provisioningState") in ACTIVE_STATES:
            raise ArmError(409, "DeploymentActive", f"The deployment '{id.name}' is still active.")
        record = self._begin(id, plan)
        await self._run(record.id, plan)
        return known is None, self._deployments.require(id).body["properties"]

    def _new_live(self) -> LiveResources:
        return LiveResources(self._providers, self._deployments, self._groups)
