"""Resource groups and deployments as azurebox remembers them, in the store of all resources."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from azurebox.errors import ArmError
from azurebox.resource_id import ResourceId
from azurebox.store import Resource, ResourceStore

GROUP_TYPE = "Microsoft.Resources/resourceGroups"
DEPLOYMENT_TYPE = "Microsoft.Resources/deployments"
ACTIVE_STATES = ("Accepted", "Running")


def iso_time(seconds: float | None = None) -> str:
    """Return a time as ARM writes it: UTC, up to seven fractional digits."""
    moment = datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}1Z"


def iso_duration(seconds: float) -> str:
    """Return a duration as ARM writes it, such as PT5.9905564S."""
    return f"PT{max(0.0, seconds):.7f}".rstrip("0").rstrip(".") + "S"


class Groups:
    """Resource groups. Names are compared without regard to case and keep their first spelling."""

    def __init__(self, store: ResourceStore) -> None:
        self._store = store

    def find(self, subscription: str, name: str) -> dict[str, Any] | None:
        """Return the group as GET shows it, or None."""
        found = self._store.get(_group_record_id(subscription, name))
        return _show_group(found) if found else None

    def require(self, subscription: str, name: str) -> dict[str, Any]:
        """Return the group. Raises: ArmError(404, "ResourceGroupNotFound")."""
        group = self.find(subscription, name)
        if group is None:
            raise ArmError(
                404,
                "ResourceGroupNotFound",
                f"Resource group '{name}' could not be found.",
                headers={"x-ms-failure-cause": "gateway"},
            )
        return group

    def put(self, subscription: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create or replace a group."""
        stored = self._store.put(Resource(_group_record_id(subscription, name), body))
        return _show_group(stored)

    def change(self, subscription: str, name: str, changes: dict[str, Any]) -> dict[str, Any]:
        """Replace some parts of a group that is there."""
        known = self.require(subscription, name)
        kept = {k: v for k, v in known.items() if k not in ("id", "name", "type")}
        return self.put(subscription, name, {**kept, **changes})

    def set_state(self, subscription: str, name: str, state: str) -> None:
        """Say how a group that is there stands: Succeeded or Deleting."""
        self.change(subscription, name, {"properties": {"provisioningState": state}})

    def deleting(self) -> list[tuple[str, str]]:
        """Return (subscription, name) of every group that is being deleted."""
        return [
            (group.id.subscription, group.id.name)
            for group in self._store.list(type=GROUP_TYPE)
            if group.body["properties"]["provisioningState"] == "Deleting"
        ]

    def remove(self, subscription: str, name: str) -> None:
        """Forget a group and its deployments; its resources must be gone already."""
        scope = (
            f"/subscriptions/{subscription}/resourceGroups/{name}/providers/Microsoft.Resources/"
        )
        for resource in list(self._store.list(prefix=scope)):
            self._store.delete(resource.id)

    def list(self, subscription: str) -> list[dict[str, Any]]:
        """Return all groups of a subscription."""
        prefix = f"/subscriptions/{subscription}/"
        return [_show_group(g) for g in self._store.list(prefix=prefix, type=GROUP_TYPE)]


def _group_record_id(subscription: str, name: str) -> ResourceId:
    # The store holds ids of resources in groups only, so a group is kept as one inside itself.
    return ResourceId(subscription, name, GROUP_TYPE, (name,))


def _show_group(stored: Resource) -> dict[str, Any]:
    id = stored.id
    return {
        "id": f"/subscriptions/{id.subscription}/resourceGroups/{id.name}",
        "name": id.name,
        "type": GROUP_TYPE,
        **stored.body,
    }


class Deployments:
    """Deployments: what GET shows in `body`; template, operations and status in `private`."""

    def __init__(self, store: ResourceStore) -> None:
        self._store = store

    def find(self, id: ResourceId) -> Resource | None:
        """Return a deployment's record, or None."""
        return self._store.get(id)

    def require(self, id: ResourceId) -> Resource:
        """Return a deployment's record. Raises: ArmError(404, "DeploymentNotFound")."""
        found = self._store.get(id)
        if found is None:
            raise ArmError(
                404,
                "DeploymentNotFound",
                f"Deployment '{id.name}' could not be found.",
                headers={"x-ms-failure-cause": "gateway"},
            )
        return found

    def save(self, record: Resource) -> Resource:
        """Write a record."""
        return self._store.put(record)

    def update(
        self, id: ResourceId, properties: dict[str, Any], private: dict[str, Any] | None = None
    ) -> Resource:
        """Change some properties of a record."""
        record = self.require(id)
        changed = {**record.body["properties"], **properties}
        return self.save(
            replace(
                record,
                body={**record.body, "properties": changed},
                private={**record.private, **(private or {})},
            )
        )

    def remove(self, id: ResourceId) -> None:
        """Forget a deployment; what it deployed stays."""
        self._store.delete(id)

    def list(self, scope: str) -> Iterator[Resource]:
        """Yield the deployments below a scope, newest last."""
        return self._store.list(prefix=scope.rstrip("/") + "/", type=DEPLOYMENT_TYPE)

    def end_interrupted(self) -> None:
        """Mark deployments Failed that ran when azurebox was ended: nobody works on them now."""
        for record in list(self._store.list(type=DEPLOYMENT_TYPE)):
            if record.body["properties"].get("provisioningState") in ACTIVE_STATES:
                error = {
                    "code": "DeploymentFailed",
                    "message": "The deployment was interrupted: azurebox was ended while it ran."
                    " What it had created stays; deploy again to complete it.",
                }
                self.update(record.id, {"provisioningState": "Failed", "error": error})


def show_deployment(record: Resource) -> dict[str, Any]:
    """Return a deployment as GET shows it."""
    return {
        "id": str(record.id),
        "name": record.id.name,
        "type": DEPLOYMENT_TYPE,
        **record.body,
    }
