"""What a resource provider must offer, and how ARM's front and deployments call it."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from azurebox.resource_id import ResourceId


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a provider answers to PUT, PATCH or DELETE.

    `view`: the resource as GET would show it now (None for a delete). `done`: awaited for the work
    to end (None: it already has); it raises ArmError when the work fails. `created`: the resource
    was not there before. `wait`: how the service tells the client of the rest:
    "async" = Azure-AsyncOperation, "location" = 202 with Location, "none" = the answer is final.
    """

    view: dict[str, Any] | None
    created: bool = False
    wait: Literal["async", "location", "none"] = "none"
    done: Awaitable[None] | None = None


class Provider(Protocol):
    """One resource type, such as Microsoft.App/jobs. `type` is its canonical spelling.

    Every method raises ArmError for what the service refuses.
    """

    type: str

    async def put(self, id: ResourceId, body: dict[str, Any], api_version: str) -> Accepted:
        """Create or replace."""
        ...

    async def patch(self, id: ResourceId, body: dict[str, Any], api_version: str) -> Accepted:
        """Merge `body` into the resource."""
        ...

    async def delete(self, id: ResourceId, api_version: str) -> Accepted:
        """Delete the resource and its children."""
        ...

    def get(self, id: ResourceId, api_version: str) -> dict[str, Any] | None:
        """Return the resource with id, name and type, as GET shows it; None for none."""
        ...

    def list(self, scope: str, api_version: str) -> list[dict[str, Any]]:
        """Return the resources below `scope` (a group's, subscription's or parent's id)."""
        ...

    async def action(
        self, id: ResourceId, action: str, body: dict[str, Any] | None, api_version: str
    ) -> Any:
        """Answer POST id/action, such as listKeys: the body of a 200 answer, None for an empty one.

        `action` keeps the case of the request; compare it without regard to case.
        """
        ...


class Providers(Protocol):
    """All resource types, as the deployment engine and the ARM front see them."""

    def of(self, type: str) -> Provider:
        """Raises: ArmError(400, "InvalidResourceType") for a type that nobody provides."""
        ...
