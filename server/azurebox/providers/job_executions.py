"""Microsoft.App/jobs/executions and their replicas, as a client sees them.

Source: recorded answers of the service; SDK 2026-07-01 for reason and message.
"""

from __future__ import annotations

from typing import cast

from azurebox.errors import ArmError
from azurebox.providers.addresses import Addresses
from azurebox.providers.common import JsonObject, items, require, view
from azurebox.providers.executions import EXECUTION, Executions
from azurebox.providers.read_only import ReadOnly
from azurebox.providers.replicas import replica_view
from azurebox.resource_id import ResourceId
from azurebox.runtime.base import Runtime
from azurebox.store import Resource, ResourceStore

# The service adds these to an execution's template; it fills the values inside the container.
_INJECTED = (
    "CONTAINER_APP_JOB_NAME",
    "CONTAINER_APP_JOB_EXECUTION_NAME",
    "CONTAINER_APP_REPLICA_NAME",
)


class JobExecutions(ReadOnly):
    """Microsoft.App/jobs/executions: read and stopped, never written by a client."""

    type = EXECUTION
    made_by = "starting the job"

    def __init__(self, store: ResourceStore, executions: Executions, runtime: Runtime) -> None:
        self._store = store
        self._executions = executions
        self._runtime = runtime

    def get(self, id: ResourceId, api_version: str) -> JsonObject | None:
        """Return the execution."""
        resource = self._store.get(id)
        return self._show(resource, api_version) if resource else None

    def list(self, scope: str, api_version: str) -> list[JsonObject]:
        """Return the job's executions, newest first."""
        job = require(self._store, ResourceId.parse(scope))
        return [self._show(r, api_version) for r in self._executions.list(job.id)]

    async def action(
        self, id: ResourceId, action: str, body: JsonObject | None, api_version: str
    ) -> None:
        """Answer stop: at once, while the container still has its grace."""
        if action.lower() != "stop":
            raise ArmError(
                501, "NotImplemented", f"azurebox does not know the action {action} here."
            )
        self._executions.stop(id)

    def _show(self, resource: Resource, api_version: str) -> JsonObject:
        shown = view(resource)
        properties = dict(cast(JsonObject, shown["properties"]))
        job_name = resource.id.names[0]
        template = cast(JsonObject, properties["template"])
        containers = [
            {
                **{k: v for k, v in c.items() if k not in ("volumeMounts", "probes")},
                "env": [
                    *items(c, "env"),
                    *(
                        {"name": name, "value": job_name if name == _INJECTED[0] else ""}
                        for name in _INJECTED
                    ),
                ],
            }
            for c in items(template, "containers")
        ]
        properties["template"] = {
            "containers": containers,
            "initContainers": items(template, "initContainers"),
        }
        if api_version >= "2024-08-02":
            properties["detailedStatus"] = {
                "replicas": [
                    {"name": r["name"], "containers": self._containers(r)}
                    for r in self._executions.replicas(resource)
                ]
            }
        else:
            properties.pop("reason", None)
            properties.pop("message", None)
        return {**shown, "properties": properties}

    def _containers(self, replica: JsonObject) -> list[JsonObject]:
        rows: list[JsonObject] = []
        for name, full_name in cast(dict[str, str], replica["containers"]).items():
            status = self._runtime.status(full_name)
            code = status.exit_code if status else None
            rows.append(
                {
                    "name": name,
                    "code": -1 if code is None else code,
                    "additionalInformation": status.reason
                    if status and status.state != "running"
                    else "",
                    "status": status.state.capitalize() if status else "Waiting",
                }
            )
        return rows


class JobReplicas(ReadOnly):
    """.../executions/replicas: in no swagger, but what az asks for before it streams a log."""

    type = f"{EXECUTION}/replicas"
    made_by = "starting the job"

    def __init__(
        self,
        store: ResourceStore,
        executions: Executions,
        runtime: Runtime,
        addresses: Addresses,
    ) -> None:
        self._store = store
        self._executions = executions
        self._runtime = runtime
        self._addresses = addresses

    def get(self, id: ResourceId, api_version: str) -> JsonObject | None:
        """Return one replica."""
        found = self.list(str(id.parent), api_version)
        return next((r for r in found if r["name"].lower() == id.name.lower()), None)

    def list(self, scope: str, api_version: str) -> list[JsonObject]:
        """Return the replicas of an execution, the newest first; ended ones stay readable."""
        execution = require(self._store, ResourceId.parse(scope))
        id = execution.id
        base = (
            f"{self._addresses.arm_url}/subscriptions/{id.subscription}/resourceGroups/{id.group}"
            f"/jobs/{id.names[0]}/executions/{id.name}"
        )
        return [
            replica_view(
                f"{id}/replicas/{r['name']}",
                str(r["name"]),
                str(r["created_at"]),
                {n: self._runtime.status(f) for n, f in r["containers"].items()},
                f"{base}/replicas/{r['name']}",
            )
            for r in reversed(self._executions.replicas(execution))
        ]

    async def action(
        self, id: ResourceId, action: str, body: JsonObject | None, api_version: str
    ) -> None:
        """None is known."""
        raise ArmError(501, "NotImplemented", f"azurebox does not know the action {action}.")
