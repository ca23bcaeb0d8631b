"""Microsoft.App/containerApps/revisions and their replicas, as a client sees them."""

from __future__ import annotations

from typing import cast

from azurebox.errors import ArmError
from azurebox.providers.addresses import Addresses
from azurebox.providers.common import JsonObject, items, require, section, view
from azurebox.providers.read_only import ReadOnly
from azurebox.providers.replicas import replica_view
from azurebox.providers.revisions import REVISION, Revisions
from azurebox.resource_id import ResourceId
from azurebox.store import Resource, ResourceStore

# The service's own spelling in answers.
_SHOWN_TYPE = "Microsoft.App/containerapps/revisions"


class AppRevisions(ReadOnly):
    """Revisions: read, activated, deactivated, restarted."""

    type = REVISION
    made_by = "changing the app"

    def __init__(self, store: ResourceStore, revisions: Revisions) -> None:
        self._store = store
        self._revisions = revisions

    def get(self, id: ResourceId, api_version: str) -> JsonObject | None:
        """Return the revision."""
        resource = self._store.get(id)
        return self._show(resource) if resource else None

    def list(self, scope: str, api_version: str) -> list[JsonObject]:
        """Return the app's active revisions, newest first, then nothing: as the service does by
        default it leaves inactive ones out unless they are the only ones."""
        app = require(self._store, ResourceId.parse(scope))
        found = self._revisions.list(app.id)
        active = [r for r in found if r.body["properties"]["active"]]
        return [self._show(r) for r in active or found[:1]]

    async def action(
        self, id: ResourceId, action: str, body: JsonObject | None, api_version: str
    ) -> None:
        """Answer activate, deactivate and restart, once done."""
        revision = require(self._store, id)
        match action.lower():
            case "activate":
                await self._revisions.activate(revision.id)
            case "deactivate":
                await self._revisions.deactivate(revision.id)
            case "restart":
                await self._revisions.restart(revision.id)
            case _:
                raise ArmError(
                    501, "NotImplemented", f"azurebox does not know the action {action} here."
                )

    def _show(self, resource: Resource) -> JsonObject:
        shown = view(resource, _SHOWN_TYPE)
        app = self._store.get(cast(ResourceId, resource.id.parent))
        ingress = section(app.body if app else {}, "properties", "configuration", "ingress")
        properties: JsonObject = shown["properties"]
        latest = section(app.body, "properties").get("latestRevisionName") if app else None
        is_latest = resource.id.name == latest
        status = self._revisions.status(resource)
        return {
            **shown,
            "properties": {
                **properties,
                "fqdn": ingress.get("fqdn"),
                "replicas": 1 if status and status.state == "running" else 0,
                "trafficWeight": 100 if is_latest and ingress else 0,
            },
        }


class AppReplicas(ReadOnly):
    """.../revisions/replicas: one for each revision that is active."""

    type = f"{REVISION}/replicas"
    made_by = "changing the app"

    def __init__(self, store: ResourceStore, revisions: Revisions, addresses: Addresses) -> None:
        self._store = store
        self._revisions = revisions
        self._addresses = addresses

    def get(self, id: ResourceId, api_version: str) -> JsonObject | None:
        """Return one replica."""
        found = self.list(str(id.parent), api_version)
        return next((r for r in found if r["name"].lower() == id.name.lower()), None)

    def list(self, scope: str, api_version: str) -> list[JsonObject]:
        """Return the replicas of a revision."""
        revision = require(self._store, ResourceId.parse(scope))
        replica = self._revisions.replica(revision)
        if not replica:
            return []
        id = revision.id
        properties: JsonObject = revision.body["properties"]
        container = str(items(properties, "template", "containers")[0]["name"])
        link = (
            f"{self._addresses.arm_url}/subscriptions/{id.subscription}/resourceGroups/{id.group}"
            f"/containerApps/{id.names[0]}/revisions/{id.name}/replicas/{replica['name']}"
        )
        return [
            replica_view(
                f"{id}/replicas/{replica['name']}",
                str(replica["name"]),
                str(replica["created_at"]),
                {container: self._revisions.status(revision)},
                link,
                restarts=int(replica["restarts"]),
                is_ready=properties.get("healthState") == "Healthy",
            )
        ]

    async def action(
        self, id: ResourceId, action: str, body: JsonObject | None, api_version: str
    ) -> None:
        """None is known."""
        raise ArmError(501, "NotImplemented", f"azurebox does not know the action {action}.")
