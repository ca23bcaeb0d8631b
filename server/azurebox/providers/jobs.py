"""Microsoft.App/jobs: made, changed, started, stopped.

Source: Microsoft.App 2024-03-01, SDK 2026-07-01, and recorded answers of the service.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from azurebox.errors import ArmError
from azurebox.providers.addresses import Addresses
from azurebox.providers.base import Accepted
from azurebox.providers.common import (
    JsonObject,
    canonical,
    items,
    merge,
    require,
    require_location,
    section,
    system_data,
    view,
)
from azurebox.providers.containers import Secrets, check_name, check_template, normal_template
from azurebox.providers.environments import ENVIRONMENT
from azurebox.providers.executions import JOB, Executions
from azurebox.providers.log_tokens import LogTokens
from azurebox.providers.regions import display_name
from azurebox.resource_id import ResourceId
from azurebox.store import Resource, ResourceStore


class Jobs:
    """Microsoft.App/jobs."""

    type = JOB

    def __init__(
        self,
        store: ResourceStore,
        executions: Executions,
        log_tokens: LogTokens,
        addresses: Addresses,
    ) -> None:
        self._store = store
        self._executions = executions
        self._log_tokens = log_tokens
        self._addresses = addresses

    async def put(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Create or replace; executions that run keep what they started with."""
        location = require_location(body)
        check_name("ContainerAppJob", id.name)
        id = canonical(id, self.type)
        known = self._store.get(id)
        given = section(body, "properties")
        environment = environment_of(self._store, given, id)
        known_secrets = cast(dict[str, str], known.private.get("secrets", {})) if known else {}
        secrets = Secrets.read(section(given, "configuration"), known_secrets)
        template = section(given, "template")
        check_template(template, secrets.values)
        properties: JsonObject = {
            "provisioningState": "Succeeded",
            "runningStatus": "Ready",
            "runningState": "Ready",
            "environmentId": str(environment.id),
            "workloadProfileName": workload_profile(environment, given),
            "configuration": _configuration(section(given, "configuration"), secrets),
            "template": normal_template(template),
            "outboundIpAddresses": ["127.0.0.1"],
        }
        shown: JsonObject = {
            "location": display_name(location),
            "tags": body.get("tags") or {},
            "systemData": system_data(known),
            "properties": properties,
            "identity": body.get("identity") or {"type": "None"},
        }
        resource = self._store.put(Resource(id, shown, {"secrets": secrets.values}))
        answer = self._show(resource)
        answer["properties"]["provisioningState"] = "InProgress"
        return Accepted(answer, known is None, "async")

    async def patch(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Merge the body into the job."""
        known = require(self._store, id)
        accepted = await self.put(known.id, merge(known.body, body), api_version)
        return Accepted(accepted.view, False, "location")

    async def delete(self, id: ResourceId, api_version: str) -> Accepted:
        """Delete the job; executions that run are stopped first."""
        known = self._store.get(id)
        if known is None:
            return Accepted(None)

        async def work() -> None:
            await self._executions.forget(known.id)
            self._store.delete(known.id)

        return Accepted(None, True, "location", asyncio.create_task(work()))

    def get(self, id: ResourceId, api_version: str) -> JsonObject | None:
        """Return the job without secret values."""
        resource = self._store.get(id)
        return self._show(resource) if resource else None

    def list(self, scope: str, api_version: str) -> list[JsonObject]:
        """Return the jobs of a group or a subscription."""
        return [self._show(r) for r in self._store.list(prefix=scope + "/", type=self.type)]

    async def action(
        self, id: ResourceId, action: str, body: JsonObject | None, api_version: str
    ) -> Any:
        """Answer start, stop (all), listSecrets, getAuthToken."""
        job = require(self._store, id)
        match action.lower():
            case "start":
                return self._start(job, body or {})
            case "stop":
                active = [
                    self._executions.stop(r.id)
                    for r in self._executions.list(job.id)
                    if r.body["properties"]["status"] == "Running"
                ]
                return {"value": [view(r) for r in active]}
            case "listsecrets":
                return Secrets(cast(dict[str, str], job.private["secrets"])).listed()
            case "getauthtoken":
                return self._log_tokens.issue(job, "Microsoft.App/jobs/accesstoken")
            case _:
                raise ArmError(
                    501, "NotImplemented", f"azurebox does not know the action {action} of a job."
                )

    def _start(self, job: Resource, body: JsonObject) -> JsonObject:
        """Start an execution. The body, when there is one, is the template that replaces the
        job's whole; its containers inherit the mounts of the job's container of the same name."""
        own = section(job.body, "properties", "template")
        template = own
        if items(body, "containers"):
            by_name = {str(c.get("name")): c for c in items(own, "containers")}
            containers: list[JsonObject] = []
            for container in items(body, "containers"):
                base = by_name.get(str(container.get("name"))) or next(iter(by_name.values()))
                filled = {"image": base.get("image"), "name": base.get("name"), **container}
                if container.get("volumeMounts") is None and base.get("volumeMounts"):
                    filled["volumeMounts"] = base["volumeMounts"]
                containers.append(filled)
            template = {
                "containers": containers,
                "initContainers": items(body, "initContainers") or None,
                "volumes": items(body, "volumes") or items(own, "volumes") or None,
            }
            check_template(template, cast(dict[str, str], job.private["secrets"]))
            template = normal_template(template)
        started = self._executions.start(job, template)
        return {"id": str(started.id), "name": started.id.name}

    def _show(self, resource: Resource) -> JsonObject:
        shown = view(resource)
        id = resource.id
        shown["properties"] = {
            **shown["properties"],
            # The service itself writes containerApps here, for jobs too.
            "eventStreamEndpoint": f"{self._addresses.arm_url}/subscriptions/{id.subscription}"
            f"/resourceGroups/{id.group}/containerApps/{id.name}/eventstream",
        }
        return shown


def environment_of(store: ResourceStore, given: JsonObject, id: ResourceId) -> Resource:
    """Return the environment that a job's or app's properties name.

    Raises: ArmError(400) when none is named or it is not there.
    """
    named = given.get("environmentId") or given.get("managedEnvironmentId")
    try:
        environment_id = canonical(ResourceId.parse(str(named or "")), ENVIRONMENT)
    except ValueError as error:
        raise ArmError(
            400, "EnvironmentNotFound", f"'{id.name}' names no environment (environmentId)."
        ) from error
    environment = store.get(environment_id)
    if environment is None:
        raise ArmError(
            404,
            "ManagedEnvironmentNotFound",
            f"The environment '{environment_id}' was not found.",
        )
    return environment


def workload_profile(environment: Resource, given: JsonObject) -> str:
    """The profile named, "Consumption" for none.

    Raises: ArmError(400, "WorkloadProfileNotFound") when the environment has no such profile.
    """
    name = str(given.get("workloadProfileName") or "Consumption")
    known = [str(p["name"]) for p in items(environment.body, "properties", "workloadProfiles")]
    if name not in known and name != "Consumption":
        raise ArmError(
            400,
            "WorkloadProfileNotFound",
            f"The workload profile '{name}' is not one of the environment's: {', '.join(known)}.",
        )
    return name


def _configuration(given: JsonObject, secrets: Secrets) -> JsonObject:
    trigger = str(given.get("triggerType") or "Manual")
    timeout_s = given.get("replicaTimeout")
    if not isinstance(timeout_s, int) or timeout_s < 1:
        raise ArmError(
            400,
            "ContainerAppJobInvalidReplicaTimeout",
            "configuration.replicaTimeout must be a whole number of seconds, 1 or more.",
        )
    if trigger.lower() != "manual":
        raise ArmError(
            501, "NotImplemented", f"azurebox runs Manual jobs only, not {trigger} ones, yet."
        )
    manual = section(given, "manualTriggerConfig")
    counts = {
        "replicaRetryLimit": given.get("replicaRetryLimit") or 0,
        "replicaCompletionCount": manual.get("replicaCompletionCount") or 1,
        "parallelism": manual.get("parallelism") or 1,
    }
    for key, count in counts.items():
        if not isinstance(count, int) or count < 0:
            raise ArmError(
                400,
                "ContainerAppJobInvalidConfiguration",
                f"configuration: {key} must be a whole number, not '{count}'.",
            )
    return {
        "secrets": secrets.shown(),
        "triggerType": "Manual",
        "replicaTimeout": timeout_s,
        "replicaRetryLimit": counts["replicaRetryLimit"],
        "manualTriggerConfig": {
            "replicaCompletionCount": counts["replicaCompletionCount"],
            "parallelism": counts["parallelism"],
        },
        "scheduleTriggerConfig": None,
        "eventTriggerConfig": None,
        "registries": given.get("registries"),
        "identitySettings": given.get("identitySettings") or [],
        "dapr": None,
    }
