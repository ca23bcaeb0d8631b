"""Microsoft.App/managedEnvironments and the storages that mounts go through.

Source: Microsoft.App 2024-03-01 and recorded answers of the service.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
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
    require_parent,
    section,
    system_data,
    view,
)
from azurebox.providers.regions import display_name, region_name
from azurebox.providers.shares import Shares
from azurebox.providers.storage import AccountKeys
from azurebox.resource_id import ResourceId
from azurebox.store import Resource, ResourceStore

ENVIRONMENT = "Microsoft.App/managedEnvironments"
_WORDS = ("blue", "white", "calm", "brave", "happy", "green", "lively", "kind")
_THINGS = ("sky", "beach", "river", "stone", "field", "cliff", "island", "forest")


class Environments:
    """Container Apps environments."""

    type = ENVIRONMENT

    def __init__(self, store: ResourceStore, addresses: Addresses) -> None:
        self._store = store
        self._addresses = addresses

    async def put(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Create or update; the default domain stays."""
        location = require_location(body)
        id = canonical(id, self.type)
        known = self._store.get(id)
        given = {k: v for k, v in section(body, "properties").items() if v is not None}
        logs = section(given, "appLogsConfiguration")
        analytics = section(logs, "logAnalyticsConfiguration")
        private: JsonObject = {"logAnalyticsKey": analytics.get("sharedKey")}
        properties: JsonObject = {
            "daprAIInstrumentationKey": None,
            "daprAIConnectionString": None,
            "vnetConfiguration": None,
            "zoneRedundant": False,
            "infrastructureResourceGroup": None,
            "peerAuthentication": {"mtls": {"enabled": False}},
            "peerTrafficConfiguration": {"encryption": {"enabled": False}},
            **given,
            "provisioningState": "Succeeded",
            "defaultDomain": _domain(id, location),
            "staticIp": "127.0.0.1",
            "appLogsConfiguration": {
                "destination": logs.get("destination"),
                "logAnalyticsConfiguration": {
                    "customerId": analytics.get("customerId"),
                    "sharedKey": None,
                }
                if analytics
                else None,
            },
            "kedaConfiguration": {"version": "2.15.1"},
            "daprConfiguration": {"version": "1.12.5"},
            "customDomainConfiguration": {
                "customDomainVerificationId": hashlib.sha256(id.key.encode()).hexdigest().upper(),
                "dnsSuffix": None,
                "certificateValue": None,
                "certificatePassword": None,
                "thumbprint": None,
                "subjectName": None,
                "expirationDate": None,
            },
            "workloadProfiles": _profiles(given),
        }
        shown: JsonObject = {
            "location": display_name(location),
            "tags": body.get("tags") or {},
            "systemData": system_data(known),
            "properties": properties,
        }
        answer = self._show(self._store.put(Resource(id, shown, private)))
        answer["properties"]["provisioningState"] = "Waiting"
        return Accepted(answer, known is None, "async")

    async def patch(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Merge the body and answer as for a PUT of the whole."""
        known = require(self._store, id)
        merged = merge(known.body, body)
        key = known.private.get("logAnalyticsKey")
        analytics = section(
            merged, "properties", "appLogsConfiguration", "logAnalyticsConfiguration"
        )
        if analytics and not analytics.get("sharedKey"):
            analytics["sharedKey"] = key
        accepted = await self.put(known.id, merged, api_version)
        return Accepted(accepted.view, False, "location")

    async def delete(self, id: ResourceId, api_version: str) -> Accepted:
        """Refused while a job or an app is in it."""
        known = self._store.get(id)
        if known is None:
            return Accepted(None)
        users = [
            r.id.name
            for kind in ("Microsoft.App/jobs", "Microsoft.App/containerApps")
            for r in self._store.list(type=kind)
            if str(r.body["properties"].get("environmentId", "")).lower() == known.id.key
        ]
        if users:
            raise ArmError(
                409,
                "ManagedEnvironmentNotEmpty",
                f"The managed environment '{known.id.name}' still has {', '.join(users)}."
                " Delete them first.",
            )
        self._store.delete(known.id)
        return Accepted(None, created=True, wait="location")

    def get(self, id: ResourceId, api_version: str) -> JsonObject | None:
        """Return the environment."""
        resource = self._store.get(id)
        return self._show(resource) if resource else None

    def list(self, scope: str, api_version: str) -> list[JsonObject]:
        """Return the environments of a group or a subscription."""
        return [self._show(r) for r in self._store.list(prefix=scope + "/", type=self.type)]

    async def action(
        self, id: ResourceId, action: str, body: JsonObject | None, api_version: str
    ) -> Any:
        """None is known yet."""
        raise ArmError(501, "NotImplemented", f"azurebox does not know the action {action}.")

    def _show(self, resource: Resource) -> JsonObject:
        shown = view(resource)
        id = resource.id
        shown["properties"] = {
            **shown["properties"],
            "eventStreamEndpoint": f"{self._addresses.arm_url}/subscriptions/{id.subscription}"
            f"/resourceGroups/{id.group}/managedEnvironments/{id.name}/eventstream",
        }
        return shown


class EnvironmentStorages:
    """.../managedEnvironments/storages: names a share and holds the key to it."""

    type = f"{ENVIRONMENT}/storages"
    # The service's own spelling in answers.
    _shown_type = "Microsoft.App/managedenvironments/storages"

    def __init__(self, store: ResourceStore, keys: AccountKeys, shares: Shares) -> None:
        self._store = store
        self._keys = keys
        self._shares = shares

    async def put(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Create or replace at once. The key is checked now, where the service waits for the
        first mount to fail."""
        id = canonical(id, self.type)
        require_parent(self._store, id)
        azure_file = section(body, "properties", "azureFile")
        missing = [
            k
            for k in ("accountName", "accountKey", "shareName", "accessMode")
            if not azure_file.get(k)
        ]
        if missing:
            raise ArmError(
                400,
                "ManagedEnvironmentStorageInvalid",
                f"Managed environment storage '{id.name}' lacks azureFile.{missing[0]}.",
            )
        account = str(azure_file["accountName"])
        keys = self._keys(account)
        if keys is None:
            raise ArmError(
                400,
                "ManagedEnvironmentStorageInvalid",
                f"The storage account '{account}' of managed environment storage '{id.name}' was"
                " not found.",
            )
        if azure_file["accountKey"] not in keys:
            raise ArmError(
                400,
                "ManagedEnvironmentStorageInvalid",
                f"The key given for the storage account '{account}' is not one of its keys.",
            )
        shown = {
            "properties": {
                "azureFile": {
                    "accountName": account,
                    "shareName": azure_file["shareName"],
                    "accessMode": azure_file["accessMode"],
                }
            }
        }
        private = {"accountKey": azure_file["accountKey"]}
        self._store.put(Resource(id, shown, private))
        return Accepted(self.get(id, api_version))

    async def patch(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Refused: the service has none."""
        raise ArmError(405, "HttpMethodNotAllowed", "A storage is replaced with PUT.")

    async def delete(self, id: ResourceId, api_version: str) -> Accepted:
        """Delete at once."""
        known = self._store.get(id)
        self._store.delete(id)
        return Accepted(None, created=known is not None)

    def get(self, id: ResourceId, api_version: str) -> JsonObject | None:
        """Return the storage without its key.

        Raises: ArmError(404, "ManagedEnvironmentStorageNotFound").
        """
        resource = self._store.get(id)
        if resource is None:
            raise ArmError(
                404,
                "ManagedEnvironmentStorageNotFound",
                f"ManagedEnvironment Storage '{id.name}' was not found.",
            )
        return view(resource, self._shown_type)

    def list(self, scope: str, api_version: str) -> list[JsonObject]:
        """Return the storages of an environment."""
        found = self._store.list(prefix=scope + "/", type=self.type)
        return [view(r, self._shown_type) for r in found]

    async def action(
        self, id: ResourceId, action: str, body: JsonObject | None, api_version: str
    ) -> Any:
        """None is known."""
        raise ArmError(501, "NotImplemented", f"azurebox does not know the action {action}.")

    def folder(self, environment_id: str, storage: str) -> tuple[Path, bool]:
        """Return the share's folder and whether it may be written.

        Raises: ArmError(400) in words for the container's events: no storage, no share, old key.
        """
        id = ResourceId.parse(f"{environment_id}/storages/{storage}")
        resource = self._store.get(canonical(id, self.type))
        if resource is None:
            raise ArmError(
                400,
                "ManagedEnvironmentStorageNotFound",
                f"ManagedEnvironment Storage '{storage}' was not found.",
            )
        azure_file = section(resource.body, "properties", "azureFile")
        account, share = str(azure_file["accountName"]), str(azure_file["shareName"])
        if resource.private["accountKey"] not in (self._keys(account) or []):
            raise ArmError(
                400,
                "VolumeMountFailure",
                f"The account key in storage '{storage}' no longer opens '{account}'.",
            )
        folder = self._shares.folder(account, share)
        if folder is None:
            raise ArmError(
                400, "VolumeMountFailure", f"The share '{share}' in '{account}' does not exist."
            )
        return folder, str(azure_file["accessMode"]).lower() == "readwrite"


def _domain(id: ResourceId, location: str) -> str:
    digest = hashlib.sha256(id.key.encode()).digest()
    words = _WORDS[digest[0] % len(_WORDS)] + _THINGS[digest[1] % len(_THINGS)]
    return f"{words}-{digest[2:6].hex()}.{region_name(location)}.azurecontainerapps.io"


def _profiles(given: JsonObject) -> list[JsonObject]:
    profiles = items(given, "workloadProfiles")
    for profile in profiles:
        name = profile.get("name") or profile.get("Name")
        if not name or not profile.get("workloadProfileType"):
            raise ArmError(
                400,
                "WorkloadProfileInvalid",
                "Each workload profile needs a name and a workloadProfileType.",
            )
    shown = [
        {
            **{k: v for k, v in p.items() if k != "Name" and v is not None},
            "name": p.get("name") or p["Name"],
        }
        for p in profiles
    ]
    if not shown:
        shown = [{"workloadProfileType": "Consumption", "name": "Consumption"}]
    return cast(list[JsonObject], shown)
