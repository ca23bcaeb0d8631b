"""Types a client only reads: the service makes them, and refuses to have them written."""

from __future__ import annotations

from azurebox.errors import ArmError
from azurebox.providers.base import Accepted
from azurebox.providers.common import JsonObject
from azurebox.resource_id import ResourceId


class ReadOnly:
    """The writing half of a provider whose resources come by themselves.

    `made_by` says in a few words what a client does instead.
    """

    made_by = ""

    async def put(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Refused."""
        raise self._refusal()

    async def patch(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Refused."""
        raise self._refusal()

    async def delete(self, id: ResourceId, api_version: str) -> Accepted:
        """Refused."""
        raise self._refusal()

    def _refusal(self) -> ArmError:
        return ArmError(405, "HttpMethodNotAllowed", f"These are made by {self.made_by}.")
