"""Microsoft.Storage: accounts with their keys.

Source: Microsoft.Storage 2023-05-01 and recorded answers of the service.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
import shutil
from pathlib import Path
from typing import cast

from azurebox.errors import ArmError
from azurebox.providers.base import Accepted
from azurebox.providers.common import (
    JsonObject,
    canonical,
    merge,
    not_found,
    require,
    require_location,
    section,
    view,
)
from azurebox.providers.regions import region_name
from azurebox.resource_id import ResourceId
from azurebox.store import Resource, ResourceStore
from azurebox.times import utc_now

ACCOUNT = "Microsoft.Storage/storageAccounts"


class AccountKeys:
    """The keys of each account by its name: what Azure Files and mounts check against."""

    def __init__(self, store: ResourceStore) -> None:
        self._store = store
        self._known: dict[str, list[str]] = {}
        self.reload()

    def reload(self) -> None:
        """Read all keys anew; called after each change."""
        self._known = {
            r.id.name.lower(): [k["value"] for k in cast(list[dict[str, str]], r.private["keys"])]
            for r in self._store.list(type=ACCOUNT)
        }

    def __call__(self, account: str) -> list[str] | None:
        """Return the account's keys in base64, None for an unknown account."""
        return self._known.get(account.lower())


class StorageAccounts:
    """Microsoft.Storage/storageAccounts. Account names are unique in all of this azurebox."""

    type = ACCOUNT

    def __init__(
        self, store: ResourceStore, keys: AccountKeys, files: Path, files_url: str
    ) -> None:
        """`files_url` has "{account}" where the account's name goes."""
        self._store = store
        self._keys = keys
        self._files = files
        self._files_url = files_url

    async def put(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Create an account with two keys, or update one; keys stay."""
        location = require_location(body)
        if not is_account_name(id.name):
            raise ArmError(
                400,
                "AccountNameInvalid",
                f"{id.name} is not a valid storage account name. Storage account name must be"
                " between 3 and 24 characters in length and use numbers and lower-case letters"
                " only.",
            )
        id = canonical(id, self.type)
        known = self._store.get(id)
        if known is None and self._keys(id.name) is not None:
            raise ArmError(
                409,
                "StorageAccountAlreadyTaken",
                f"The storage account named {id.name} is already taken.",
            )
        sku = str(section(body, "sku").get("name", "Standard_LRS"))
        made = str(known.body["properties"]["creationTime"]) if known else utc_now() + "Z"
        given = {k: v for k, v in section(body, "properties").items() if v is not None}
        properties: JsonObject = {
            "keyCreationTime": {"key1": made, "key2": made},
            "privateEndpointConnections": [],
            "minimumTlsVersion": "TLS1_0",
            "allowBlobPublicAccess": False,
            "networkAcls": {
                "ipv6Rules": [],
                "bypass": "AzureServices",
                "virtualNetworkRules": [],
                "ipRules": [],
                "defaultAction": "Allow",
            },
            "supportsHttpsTrafficOnly": True,
            "encryption": {
                "services": {
                    name: {"keyType": "Account", "enabled": True, "lastEnabledTime": made}
                    for name in ("file", "blob")
                },
                "keySource": "Microsoft.Storage",
            },
            "accessTier": "Hot",
            **given,
            "provisioningState": "Succeeded",
            "creationTime": made,
            "primaryEndpoints": {"file": self._endpoint(id.name)},
            "primaryLocation": region_name(location),
            "statusOfPrimary": "available",
        }
        shown: JsonObject = {
            "sku": {"name": sku, "tier": sku.partition("_")[0]},
            "kind": body.get("kind", "StorageV2"),
            "location": region_name(location),
            "tags": body.get("tags") or {},
            "properties": properties,
        }
        private = known.private if known else {"keys": [_new_key("key1"), _new_key("key2")]}
        resource = self._store.put(Resource(id, shown, private))
        (self._files / id.name).mkdir(parents=True, exist_ok=True)
        self._keys.reload()
        return Accepted(view(resource), known is None, "location" if known is None else "none")

    async def patch(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Merge the body; identity of the account and its keys stay."""
        known = require(self._store, id)
        merged = merge(known.body, {k: v for k, v in body.items() if k != "location"})
        resource = self._store.put(Resource(known.id, merged, known.private))
        return Accepted(self._show(resource))

    async def delete(self, id: ResourceId, api_version: str) -> Accepted:
        """Delete the account and everything in its shares."""
        known = self._store.get(id)
        if known is None:
            return Accepted(None)
        self._store.delete(known.id)
        self._keys.reload()
        await remove_folder(self._files / known.id.name)
        return Accepted(None, created=True)

    def get(self, id: ResourceId, api_version: str) -> JsonObject | None:
        """Return the account without its keys."""
        resource = self._store.get(id)
        return self._show(resource) if resource else None

    def list(self, scope: str, api_version: str) -> list[JsonObject]:
        """Return the accounts of a group or a subscription."""
        return [self._show(r) for r in self._store.list(prefix=scope + "/", type=self.type)]

    async def action(
        self, id: ResourceId, action: str, body: JsonObject | None, api_version: str
    ) -> JsonObject:
        """Answer listKeys and regenerateKey."""
        known = require(self._store, id)
        keys = cast(list[JsonObject], known.private["keys"])
        if action.lower() == "listkeys":
            return {"keys": keys}
        if action.lower() == "regeneratekey":
            name = str((body or {}).get("keyName", ""))
            if name not in ("key1", "key2"):
                raise ArmError(400, "InvalidValuesForRequestParameters", "keyName: key1 or key2.")
            keys = [_new_key(name) if k["keyName"] == name else k for k in keys]
            self._store.put(Resource(known.id, known.body, {**known.private, "keys": keys}))
            self._keys.reload()
            return {"keys": keys}
        raise ArmError(501, "NotImplemented", f"azurebox does not know the action {action}.")

    def _endpoint(self, account: str) -> str:
        return self._files_url.replace("{account}", account) + "/"

    def _show(self, resource: Resource) -> JsonObject:
        """The view, with today's address: the port may have changed since the account was made."""
        shown = view(resource)
        shown["properties"] = {
            **shown["properties"],
            "primaryEndpoints": {"file": self._endpoint(resource.id.name)},
        }
        return shown


class FileServices:
    """.../fileServices: one for each account, always there, named default."""

    type = f"{ACCOUNT}/fileServices"

    def __init__(self, store: ResourceStore) -> None:
        self._store = store

    async def put(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Set properties of the service."""
        id = canonical(id, self.type)
        if id.name.lower() != "default":
            raise ArmError(400, "InvalidResourceName", "A file service is named default.")
        self._account(id)
        shown = {"properties": section(body, "properties")}
        return Accepted(view(self._store.put(Resource(id, shown))))

    async def patch(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """The same as PUT."""
        return await self.put(id, body, api_version)

    async def delete(self, id: ResourceId, api_version: str) -> Accepted:
        """Refused: it goes with its account."""
        raise ArmError(405, "HttpMethodNotAllowed", "A file service goes with its account.")

    def get(self, id: ResourceId, api_version: str) -> JsonObject | None:
        """Return the service; it need not have been made."""
        id = canonical(id, self.type)
        if id.name.lower() != "default" or not self._store.get(cast(ResourceId, id.parent)):
            return None
        resource = self._store.get(id)
        default: JsonObject = {
            "shareDeleteRetentionPolicy": {"enabled": False, "days": 0},
            "protocolSettings": {"smb": {}},
        }
        return view(resource or Resource(id, {"properties": default}))

    def list(self, scope: str, api_version: str) -> list[JsonObject]:
        """Return the one service of an account."""
        shown = self.get(ResourceId.parse(f"{scope}/fileServices/default"), api_version)
        return [shown] if shown else []

    async def action(
        self, id: ResourceId, action: str, body: JsonObject | None, api_version: str
    ) -> None:
        """None is known."""
        raise ArmError(501, "NotImplemented", f"azurebox does not know the action {action}.")

    def _account(self, id: ResourceId) -> Resource:
        account = cast(ResourceId, id.parent)
        found = self._store.get(account)
        if found is None:
            raise not_found(account)
        return found


def is_account_name(name: str) -> bool:
    """Three to 24 lower-case letters and digits: fit to name a folder, too."""
    return bool(re.fullmatch(r"[a-z0-9]{3,24}", name))


async def remove_folder(folder: Path) -> None:
    """Delete a folder with all in it: out of the way at once, gone when this returns."""
    if not folder.exists():
        return
    aside = folder.with_name(f".deleted-{secrets.token_hex(4)}")
    folder.rename(aside)
    await asyncio.to_thread(shutil.rmtree, aside, True)


def _new_key(name: str) -> JsonObject:
    return {
        "creationTime": utc_now() + "Z",
        "keyName": name,
        "value": base64.b64encode(secrets.token_bytes(64)).decode(),
        "permissions": "FULL",
    }
