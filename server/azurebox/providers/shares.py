"""Microsoft.Storage/storageAccounts/fileServices/shares: a share is a folder.

Shares made over the Azure Files protocol are folders as well, so the folder is the truth and the
store only adds the properties that a folder does not have.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import cast

from azurebox.errors import ArmError
from azurebox.providers.base import Accepted
from azurebox.providers.common import JsonObject, canonical, merge, require, section, view
from azurebox.providers.storage import ACCOUNT, is_account_name, remove_folder
from azurebox.resource_id import ResourceId
from azurebox.store import Resource, ResourceStore

MAX_QUOTA_GIB = 102400


class Shares:
    """File shares of an account."""

    type = f"{ACCOUNT}/fileServices/shares"

    def __init__(self, store: ResourceStore, files: Path) -> None:
        self._store = store
        self._files = files

    def folder(self, account: str, share: str) -> Path | None:
        """Return the share's folder, None when there is no such share."""
        if not is_account_name(account.lower()) or not _is_name(share):
            return None
        folder = self._files / account.lower() / share
        return folder if folder.is_dir() else None

    async def put(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Create the share; an existing one takes the new properties."""
        id = canonical(id, self.type)
        account = cast(ResourceId, cast(ResourceId, id.parent).parent)
        require(self._store, account)
        if not _is_name(id.name):
            raise ArmError(
                400,
                "InvalidResourceName",
                "The specified resource name contains invalid characters.",
            )
        given = section(body, "properties")
        quota = given.get("shareQuota", 5120)
        if not isinstance(quota, int) or not 1 <= quota <= MAX_QUOTA_GIB:
            raise ArmError(
                400,
                "InvalidHeaderValue",
                "The value for one of the HTTP headers is not in the correct format: shareQuota.",
            )
        is_new = self.folder(account.name, id.name) is None
        properties: JsonObject = {
            "shareQuota": quota,
            "enabledProtocols": given.get("enabledProtocols", "SMB"),
            "accessTier": given.get("accessTier", "TransactionOptimized"),
            "metadata": given.get("metadata") or {},
        }
        (self._files / account.name.lower() / id.name).mkdir(parents=True, exist_ok=True)
        resource = self._store.put(Resource(id, {"properties": properties}))
        answer = view(resource)
        answer["properties"] = {k: properties[k] for k in ("shareQuota", "enabledProtocols")}
        return Accepted(answer, is_new)

    async def patch(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Merge quota, tier and metadata."""
        shown = self.get(id, api_version)
        if shown is None:
            raise _missing()
        known = self._store.get(id)
        properties = merge(known.body["properties"] if known else {}, section(body, "properties"))
        self._store.put(Resource(canonical(id, self.type), {"properties": properties}))
        return Accepted(self.get(id, api_version))

    async def delete(self, id: ResourceId, api_version: str) -> Accepted:
        """Delete the share with all its files."""
        id = canonical(id, self.type)
        folder = self.folder(_account_name(id), id.name)
        self._store.delete(id)
        if folder is None:
            return Accepted(None)
        await remove_folder(folder)
        return Accepted(None, created=True)

    def get(self, id: ResourceId, api_version: str) -> JsonObject | None:
        """Return the share. Raises: ArmError(404, "ShareNotFound") in the data plane's words."""
        id = canonical(id, self.type)
        folder = self.folder(_account_name(id), id.name)
        if folder is None:
            raise _missing()
        resource = self._store.get(id) or Resource(id, {"properties": {"shareQuota": 5120}})
        changed_s = folder.stat().st_mtime
        return {
            **view(resource),
            "etag": f'"0x{int(changed_s * 1e7):X}"',
            "properties": {
                "leaseStatus": "unlocked",
                "leaseState": "available",
                **resource.body["properties"],
                "lastModifiedTime": datetime.fromtimestamp(changed_s, UTC).strftime(
                    "%Y-%m-%dT%H:%M:%S.0000000Z"
                ),
            },
        }

    def list(self, scope: str, api_version: str) -> list[JsonObject]:
        """Return the shares of a file service, by name."""
        account = ResourceId.parse(scope).names[0].lower()
        folder = self._files / account
        if not is_account_name(account) or not folder.is_dir():
            return []
        found = [
            self.get(ResourceId.parse(f"{scope}/shares/{name}"), api_version)
            for name in sorted(f.name for f in folder.iterdir() if f.is_dir())
            if _is_name(name)
        ]
        return [shown for shown in found if shown]

    async def action(
        self, id: ResourceId, action: str, body: JsonObject | None, api_version: str
    ) -> None:
        """None is known."""
        raise ArmError(501, "NotImplemented", f"azurebox does not know the action {action}.")


def _is_name(name: str) -> bool:
    """Three to 63 lower-case letters, digits and single hyphens inside."""
    return bool(re.fullmatch(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*", name))


def _account_name(id: ResourceId) -> str:
    return id.names[0]


def _missing() -> ArmError:
    stamp = formatdate(time.time(), usegmt=True)
    return ArmError(404, "ShareNotFound", f"The specified share does not exist.\nTime:{stamp}")
