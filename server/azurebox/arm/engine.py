"""Carries deployments out: resources that do not wait for each other at the same time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

from azurebox.arm.expressions import ExpressionError
from azurebox.arm.functions.hashes import murmur_hash_64
from azurebox.arm.live import LiveResources
from azurebox.arm.plan import DeploymentPlan, PlannedResource, plan_deployment
from azurebox.arm.records import (
    ACTIVE_STATES,
    Deployments,
    Groups,
    iso_duration,
    iso_time,
)
from azurebox.arm.refusals import TemplateError
from azurebox.arm.scope import DeploymentFacts, RuntimeOnly, Scope
from azurebox.arm.template import evaluate_outputs
from azurebox.errors import ArmError
from azurebox.providers.base import Providers
from azurebox.resource_id import ResourceId
from azurebox.store import Resource

log = logging.getLogger(__name__)

FAILED_MESSAGE = (
    "At least one resource deployment operation failed. Please list deployment operations for"
    " details. Please see https://aka.ms/arm-deployment-operations for usage details."
)
TERMINAL_MESSAGE = (
    "The resource write operation failed to complete successfully, because it reached terminal"
    " provisioning state 'Failed'."
)


@dataclass(frozen=True, slots=True)
class Cloud:
    """Facts of the whole box that expressions can ask for."""

    location: str
    tenant_id: str
    environment: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class _Work:
    """One deployment under way."""

    id: ResourceId
    plan: DeploymentPlan
    live: LiveResources
    started: float
    operations: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    outputs: list[str] = field(default_factory=list[str])
    failures: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


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
        self, id: ResourceId, properties: Mapping[str, Any], outer: Scope | None = None
    ) -> DeploymentPlan:
        """Return what a deployment would do.

        Raises: TemplateError for what is wrong with it; ArmError for a group or a resource type
        that is not there.
        """
        group = self._groups.require(id.subscription, id.group)
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
            name=id.name,
            subscription_id=id.subscription,
            tenant_id=self._cloud.tenant_id,
            group=group,
            location=str(group.get("location", self._cloud.location)),
            template=cast("dict[str, Any]", template) if isinstance(template, dict) else {},
            parameters=parameters,
            environment=dict(self._cloud.environment),
        )
        plan = plan_deployment(template, parameters, facts, outer)
        for resource in plan.resources:
            self._check_place(resource)
        return plan

    def _check_place(self, resource: PlannedResource) -> None:
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

    def plan_nested(self, resource: PlannedResource, scope: Scope) -> DeploymentPlan | None:
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
        record = self._begin(id, plan, properties)
        task = asyncio.create_task(self._run(record.id, plan), name=f"deployment {id.name}")
        self._tasks[record.id.key] = task
        task.add_done_callback(lambda _: self._tasks.pop(record.id.key, None))
        return record, known is None

    def _begin(
        self, id: ResourceId, plan: DeploymentPlan, properties: Mapping[str, Any]
    ) -> Resource:
        begun = time.time()
        body = {"properties": describe(plan, properties)}
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
        """Carry one deployment out to its end, good or bad; the record holds the result."""
        live = LiveResources(self._providers, self._deployments, self._groups)
        work = _Work(id, plan, live, time.time())
        self._deployments.update(id, {"provisioningState": "Running"})
        try:
            await self._write_all(work)
            if work.failures:
                self._fail(work, work.failures)
                return
            scope = live.attach(plan.scope)
            outputs = await live.evaluate(lambda: evaluate_outputs(plan.template, scope))
            self._note_outputs(work)
            result: dict[str, Any] = {"provisioningState": "Succeeded"}
            if plan.template.outputs:
                result["outputs"] = outputs
            result["outputResources"] = [{"id": id} for id in dict.fromkeys(work.outputs)]
            self._end(work, result)
        except asyncio.CancelledError:
            self._end(work, {"provisioningState": "Canceled"})
            raise
        except TemplateError as e:
            message = e.message.format_map(_AnyPlace())
            self._fail(work, [{"code": e.code, "target": e.path, "message": message}])
        except ArmError as e:
            self._fail(work, [e.body()["error"]])
        except Exception:
            log.exception("Deployment %s failed inside azurebox", id)
            self._fail(
                work,
                [{"code": "InternalServerError", "message": "azurebox failed; its log has more."}],
            )

    def _fail(self, work: _Work, details: list[dict[str, Any]]) -> None:
        error = {
            "code": "DeploymentFailed",
            "target": str(work.id),
            "message": FAILED_MESSAGE,
            "details": details,
        }
        self._end(work, {"provisioningState": "Failed", "error": error})

    def _end(self, work: _Work, result: dict[str, Any]) -> None:
        now = time.time()
        times = {"timestamp": iso_time(now), "duration": iso_duration(now - work.started)}
        self._deployments.update(
            work.id, {**times, **result}, {"operations": list(work.operations.values())}
        )

    async def _write_all(self, work: _Work) -> None:
        """Write every resource once what it waits for is there; a failure stops its followers."""
        tasks: dict[str, asyncio.Task[bool]] = {}

        async def write(resource: PlannedResource) -> bool:
            before = [tasks[key] for key in resource.waits_for]
            if before and not all(await asyncio.gather(*before)):
                return False
            return await self._write_one(work, resource)

        async with asyncio.TaskGroup() as group:
            # All tasks are made before any of them runs.
            for resource in work.plan.resources:
                tasks[resource.key] = group.create_task(write(resource))

    async def _write_one(self, work: _Work, resource: PlannedResource) -> bool:
        """Write one resource, with its operation's record; returns whether it went well."""
        if resource.is_existing or not resource.is_wanted:
            return True
        begun = time.time()
        self._note(work, resource, begun, "Running")
        try:
            if resource.is_deployment:
                status = await self._write_nested(work, resource)
            else:
                status = await self._put(work, resource)
        except TemplateError as e:
            message = e.message.format_map(_AnyPlace())
            error: dict[str, Any] = {"code": e.code, "message": message}
            self._refuse(work, resource, begun, 400, error)
        except (ExpressionError, RuntimeOnly) as e:
            refusal = resource.refusal(ExpressionError(str(e)))
            message = refusal.message.format_map(_AnyPlace())
            self._refuse(work, resource, begun, 400, {"code": refusal.code, "message": message})
        except _Failure as e:
            self._refuse(work, resource, begun, e.status, e.error)
        except ArmError as e:
            self._refuse(work, resource, begun, e.status, e.body()["error"])
        except Exception:
            log.exception("Writing %s failed inside azurebox", resource.id)
            self._refuse(
                work,
                resource,
                begun,
                500,
                {"code": "InternalServerError", "message": "azurebox failed; its log has more."},
            )
        else:
            self._note(work, resource, begun, "Succeeded", status)
            return True
        return False

    async def _put(self, work: _Work, resource: PlannedResource) -> int:
        live = LiveResources(self._providers, self._deployments, self._groups)
        scope = live.attach(resource.scope)
        body = await live.evaluate(lambda: resource.body(scope))
        id = ResourceId.parse(resource.id)
        accepted = await self._providers.of(id.type).put(id, body, resource.api_version)
        if accepted.done is not None:
            try:
                # The provider's work goes on when the deployment is cancelled, as in the cloud.
                await asyncio.shield(_as_future(accepted.done))
            except ArmError as e:
                error = {
                    "code": "ResourceDeploymentFailure",
                    "target": resource.id,
                    "message": TERMINAL_MESSAGE,
                    "details": [e.body()["error"]],
                }
                raise _Failure(409, error) from e
        work.outputs.append(resource.id)
        return 201 if accepted.created else 200

    async def _write_nested(self, work: _Work, resource: PlannedResource) -> int:
        live = LiveResources(self._providers, self._deployments, self._groups)
        scope = live.attach(resource.scope)
        plan = await live.evaluate(lambda: self.plan_nested(resource, scope))
        if plan is None:
            raise ExpressionError("The nested deployment's parameters have no value.")
        id = ResourceId.parse(resource.id)
        known = self._deployments.find(id)
        if known and known.id.key in self._tasks:
            raise ArmError(409, "DeploymentActive", f"The deployment '{id.name}' is still active.")
        record = self._begin(id, plan, {"mode": "Incremental"})
        # It shares the parent's task, so that cancelling the parent cancels it.
        await self._run(record.id, plan)
        ended = self._deployments.require(id).body["properties"]
        if ended["provisioningState"] != "Succeeded":
            raise _Failure(409, ended.get("error", {"code": "DeploymentFailed"}))
        work.outputs += [entry["id"] for entry in ended.get("outputResources", [])]
        return 201 if known is None else 200

    def _refuse(
        self,
        work: _Work,
        resource: PlannedResource,
        begun: float,
        status: int,
        error: dict[str, Any],
    ) -> None:
        work.failures.append({"target": resource.id, **error})
        self._note(work, resource, begun, "Failed", status, error)

    def _note(
        self,
        work: _Work,
        resource: PlannedResource,
        begun: float,
        state: str,
        status: int | None = None,
        error: dict[str, Any] | None = None,
    ) -> None:
        """Write how one resource stands into the deployment's operations."""
        now = time.time()
        properties: dict[str, Any] = {
            "provisioningOperation": "Create",
            "provisioningState": state,
            "timestamp": iso_time(now),
            "duration": iso_duration(now - begun),
            "trackingId": _tracking_id(work, resource.key),
        }
        if status is not None:
            properties["statusCode"] = HTTPStatus(status).phrase.replace(" ", "")
        if error is not None:
            properties["statusMessage"] = {"status": "Failed", "error": error}
        properties["targetResource"] = {
            "id": resource.id,
            "resourceType": resource.type,
            "resourceName": resource.name,
        }
        self._note_operation(
            work, f"{murmur_hash_64(resource.id.upper().encode()):016X}", properties
        )

    def _note_outputs(self, work: _Work) -> None:
        record = self._deployments.require(work.id)
        properties = {
            "provisioningOperation": "EvaluateDeploymentOutput",
            "provisioningState": "Succeeded",
            "timestamp": iso_time(),
            "duration": iso_duration(time.time() - work.started),
            "trackingId": _tracking_id(work, ""),
            "statusCode": "OK",
        }
        self._note_operation(work, record.private["operation_id"], properties)

    def _note_operation(self, work: _Work, key: str, properties: dict[str, Any]) -> None:
        work.operations[key] = {
            "id": f"{work.id}/operations/{key}",
            "operationId": key,
            "properties": properties,
        }
        self._deployments.update(work.id, {}, {"operations": list(work.operations.values())})


class _Failure(Exception):
    """A write that began and ended badly: the error object as answers carry it."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(error.get("message", ""))
        self.status = status
        self.error = error


class _AnyPlace(dict[str, str]):
    """Stands in for the line and column of a message that is about no request's text."""

    def __missing__(self, key: str) -> str:
        return "1"


async def _wait(done: Awaitable[None]) -> None:
    await done


def _as_future(done: Awaitable[None]) -> asyncio.Future[None]:
    return asyncio.ensure_future(_wait(done))


def _tracking_id(work: _Work, key: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{work.id.key}{work.started}{key}"))


def operation_id(seconds: float) -> str:
    """Return the 20 digits ARM names an operation by: they fall as time goes on."""
    ticks = 621_355_968_000_000_000 + int(seconds * 10_000_000)
    return f"{2**63 - 1 - ticks:020d}"


def template_hash(template: Mapping[str, Any]) -> str:
    """Return a number that changes with the template's content (not the service's own number)."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return str(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


def describe(plan: DeploymentPlan, properties: Mapping[str, Any]) -> dict[str, Any]:
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


def _provider_list(resources: list[PlannedResource]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, list[str | None]]] = {}
    for resource in resources:
        namespace, _, type = resource.type.partition("/")
        places = found.setdefault(namespace, {}).setdefault(type, [])
        location: str | None = None
        try:
            value = resource.evaluate(resource.declaration.get("location"), resource.scope)
            location = str(value).replace(" ", "").lower() if value else None
        except (TemplateError, RuntimeOnly):
            pass
        if location not in places:
            places.append(location)
    return [
        {
            "namespace": namespace,
            "resourceTypes": [{"resourceType": t, "locations": at} for t, at in types.items()],
        }
        for namespace, types in found.items()
    ]


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
