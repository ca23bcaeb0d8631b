"""Microsoft.OperationalInsights/workspaces: what an environment wants for its logs.

The workspace takes no logs yet; runs keep their own on the share.
"""

from __future__ import annotations

import base64
import secrets
import uuid

from azurebox.errors import ArmError
from azurebox.providers.base import Accepted
from azurebox.providers.common import (
    JsonObject,
    canonical,
    merge,
    require,
    require_location,
    section,
    view,
)
from azurebox.providers.regions import region_name
from azurebox.resource_id import ResourceId
from azurebox.store import Resource, ResourceStore
from azurebox.times import utc_now


class Workspaces:
    """Log Analytics workspaces."""

    type = "Microsoft.OperationalInsights/workspaces"

    def __init__(self, store: ResourceStore) -> None:
        self._store = store

    async def put(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Create or update; the customer id and the keys stay."""
        location = require_location(body)
        id = canonical(id, self.type)
        known = self._store.get(id)
        now = utc_now() + "Z"
        made: JsonObject = known.body["properties"] if known else {}
        given = {k: v for k, v in section(body, "properties").items() if v is not None}
        sku = {"name": "PerGB2018", **section(given, "sku"), "lastSkuUpdate": now}
        properties: JsonObject = {
            "retentionInDays": 30,
            "features": {
                "legacy": 0,
                "searchVersion": 1,
                "enableLogAccessUsingOnlyResourcePermissions": True,
            },
            "workspaceCapping": {"dailyQuotaGb": -1.0, "dataIngestionStatus": "RespectQuota"},
            "publicNetworkAccessForIngestion": "Enabled",
            "publicNetworkAccessForQuery": "Enabled",
            **given,
            "sku": sku,
            "customerId": made.get("customerId", str(uuid.uuid4())),
            "provisioningState": "Succeeded",
            "createdDate": made.get("createdDate", now),
            "modifiedDate": now,
        }
        shown: JsonObject = {
            "location": region_name(location),
            "tags": body.get("tags") or {},
            "properties": properties,
            "etag": f'"{uuid.uuid4()}"',
        }
        private = known.private if known else {"keys": [_new_key(), _new_key()]}
        answer = view(self._store.put(Resource(id, shown, private)))
        if known is None:
            answer["properties"] = {**properties, "provisioningState": "Creating"}
        return Accepted(answer, known is None)

    async def patch(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Merge the body."""
        known = require(self._store, id)
        return Accepted(
            view(self._store.put(Resource(known.id, merge(known.body, body), known.private)))
        )

    async def delete(self, id: ResourceId, api_version: str) -> Accepted:
        """Delete the workspace."""
        known = self._store.get(id)
        self._store.delete(id)
        return Accepted(None, created=known is not None)

    def get(self, id: ResourceId, api_version: str) -> JsonObject | None:
        """Return the workspace without its keys."""
        resource = self._store.get(id)
        return view(resource) if resource else None

    def list(self, scope: str, api_version: str) -> list[JsonObject]:
        """Return the workspaces of a group or a subscription."""
        return [view(r) for r in self._store.list(prefix=scope + "/", type=self.type)]

    async def action(
        self, id: ResourceId, action: str, body: JsonObject | None, api_version: str
    ) -> JsonObject:
        """Answer sharedKeys and, as Bicep's listKeys() compiles to, listKeys."""
        known = require(self._store, id)
        if action.lower() not in ("sharedkeys", "listkeys"):
            raise ArmError(501, "NotImplemented", f"azurebox does not know the action {action}.")
        primary, secondary = known.private["keys"]
        return {"primarySharedKey": primary, "secondarySharedKey": secondary}


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(64)).decode()
