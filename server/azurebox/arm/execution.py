"""One deployment carried out: resources that do not wait for each other at the same time."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from azurebox.arm.expressions import ExpressionError
from azurebox.arm.functions.hashes import murmur_hash_64
from azurebox.arm.live import LiveResources
from azurebox.arm.plan import DeploymentPlan
from azurebox.arm.planned import PlannedResource
from azurebox.arm.records import Deployments, iso_duration, iso_time
from azurebox.arm.refusals import TemplateError
from azurebox.arm.scope import RuntimeOnly
from azurebox.arm.template import evaluate_outputs
from azurebox.errors import ArmError
from azurebox.providers.base import Providers
from azurebox.resource_id import ResourceId

log = logging.getLogger(__name__)

FAILED_MESSAGE = (
    "At least one resource deployment operation failed. Please list deployment operations for"
    " details. Please see https://aka.ms/arm-deployment-operations for usage details."
)
TERMINAL_MESSAGE = (
    "The resource write operation failed to complete successfully, because it reached terminal"
    " provisioning state 'Failed'."
)
OUR_FAULT = {"code": "InternalServerError", "message": "azurebox failed; its log has more."}

NestedRun = Callable[[PlannedResource, LiveResources], Awaitable[tuple[bool, dict[str, Any]]]]
"""Carries a nested deployment out; returns whether it is new, and its properties at the end."""


class Failure(Exception):
    """A write that ended badly: status, and the error object as answers carry it."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(error.get("message", ""))
        self.status = status
        self.error = error


class Execution:
    """The run of one deployment. Its record is true at every moment."""

    def __init__(
        self,
        id: ResourceId,
        plan: DeploymentPlan,
        deployments: Deployments,
        providers: Providers,
        new_live: Callable[[], LiveResources],
        run_nested: NestedRun,
    ) -> None:
        self._id = id
        self._plan = plan
        self._deployments = deployments
        self._providers = providers
        self._new_live = new_live
        self._run_nested = run_nested
        self._started = time.time()
        self._operations: dict[str, dict[str, Any]] = {}
        self._written: list[str] = []
        self._failures: list[dict[str, Any]] = []

    async def run(self) -> None:
        """Carry the deployment out to its end, good or bad; the record holds the result."""
        self._deployments.update(self._id, {"provisioningState": "Running"})
        try:
            await self._write_all()
            if self._failures:
                self._fail(self._failures)
            else:
                await self._succeed()
        except asyncio.CancelledError:
            self._end({"provisioningState": "Canceled"})
            raise
        except TemplateError as e:
            self._fail([{"code": e.code, "target": e.path, "message": e.without_place()}])
        except ArmError as e:
            self._fail([e.body()["error"]])
        except Exception:
            log.exception("Deployment %s failed inside azurebox", self._id)
            self._fail([OUR_FAULT])

    async def _succeed(self) -> None:
        live = self._new_live()
        scope = live.attach(self._plan.scope)
        template = self._plan.template
        outputs = await live.evaluate(lambda: evaluate_outputs(template, scope))
        self._note_outputs()
        result: dict[str, Any] = {"provisioningState": "Succeeded"}
        if template.outputs:
            result["outputs"] = outputs
        result["outputResources"] = [{"id": id} for id in dict.fromkeys(self._written)]
        self._end(result)

    def _fail(self, details: list[dict[str, Any]]) -> None:
        error = {
            "code": "DeploymentFailed",
            "target": str(self._id),
            "message": FAILED_MESSAGE,
            "details": details,
        }
        self._end({"provisioningState": "Failed", "error": error})

    def _end(self, result: dict[str, Any]) -> None:
        now = time.time()
        times = {"timestamp": iso_time(now), "duration": iso_duration(now - self._started)}
        self._deployments.update(
            self._id, {**times, **result}, {"operations": list(self._operations.values())}
        )

    async def _write_all(self) -> None:
        """Write every resource once what it waits for is there; a failure stops its followers."""
        tasks: dict[str, asyncio.Task[bool]] = {}

        async def write(resource: PlannedResource) -> bool:
            before = [tasks[key] for key in resource.waits_for]
            if before and not all(await asyncio.gather(*before)):
                return False
            return await self._write_one(resource)

        async with asyncio.TaskGroup() as group:
            # All tasks are made before any of them runs.
            for resource in self._plan.resources:
                tasks[resource.key] = group.create_task(write(resource))

    async def _write_one(self, resource: PlannedResource) -> bool:
        """Write one resource, with its operation's record; returns whether it went well."""
        if resource.is_existing or not resource.is_wanted:
            return True
        begun = time.time()
        self._note(resource, begun, "Running")
        try:
            write = self._write_nested if resource.is_deployment else self._put
            status = await write(resource)
        except TemplateError as e:
            failure = Failure(400, {"code": e.code, "message": e.without_place()})
        except (ExpressionError, RuntimeOnly) as e:
            refusal = resource.refusal(ExpressionError(str(e)))
            failure = Failure(400, {"code": refusal.code, "message": refusal.without_place()})
        except Failure as e:
            failure = e
        except ArmError as e:
            failure = Failure(e.status, e.body()["error"])
        except Exception:
            log.exception("Writing %s failed inside azurebox", resource.id)
            failure = Failure(500, OUR_FAULT)
        else:
            self._note(resource, begun, "Succeeded", status)
            return True
        self._failures.append({"target": resource.id, **failure.error})
        self._note(resource, begun, "Failed", failure.status, failure.error)
        return False

    async def _put(self, resource: PlannedResource) -> int:
        live = self._new_live()
        scope = live.attach(resource.scope)
        body = await live.evaluate(lambda: resource.body(scope))
        id = ResourceId.parse(resource.id)
        accepted = await self._providers.of(id.type).put(id, body, resource.api_version)
        if accepted.done is not None:
            try:
                # The provider's work goes on when the deployment is cancelled, as in the cloud.
                await asyncio.shield(asyncio.ensure_future(_wait(accepted.done)))
            except ArmError as e:
                error = {
                    "code": "ResourceDeploymentFailure",
                    "target": resource.id,
                    "message": TERMINAL_MESSAGE,
                    "details": [e.body()["error"]],
                }
                raise Failure(409, error) from e
        self._written.append(resource.id)
        return 201 if accepted.created else 200

    async def _write_nested(self, resource: PlannedResource) -> int:
        is_new, ended = await self._run_nested(resource, self._new_live())
        if ended["provisioningState"] != "Succeeded":
            raise Failure(409, ended.get("error", {"code": "DeploymentFailed"}))
        self._written += [entry["id"] for entry in ended.get("outputResources", [])]
        return 201 if is_new else 200

    def _note(
        self,
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
            "trackingId": self._tracking_id(resource.key),
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
        key = f"{murmur_hash_64(resource.id.upper().encode()):016X}"
        self._note_operation(key, properties)

    def _note_outputs(self) -> None:
        record = self._deployments.require(self._id)
        properties = {
            "provisioningOperation": "EvaluateDeploymentOutput",
            "provisioningState": "Succeeded",
            "timestamp": iso_time(),
            "duration": iso_duration(time.time() - self._started),
            "trackingId": self._tracking_id(""),
            "statusCode": "OK",
        }
        self._note_operation(record.private["operation_id"], properties)

    def _note_operation(self, key: str, properties: dict[str, Any]) -> None:
        self._operations[key] = {
            "id": f"{self._id}/operations/{key}",
            "operationId": key,
            "properties": properties,
        }
        operations = list(self._operations.values())
        self._deployments.update(self._id, {}, {"operations": operations})

    def _tracking_id(self, key: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._id.key}{self._started}{key}"))


async def _wait(done: Awaitable[None]) -> None:
    await done
