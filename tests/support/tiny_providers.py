"""Resource types of a few lines, with all that deployments need of them, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from azurebox.errors import ArmError
from azurebox.providers.base import Accepted
from azurebox.resource_id import ResourceId
from azurebox.store import Resource, ResourceStore


@dataclass
class TinyProvider:
    """Keeps what is put into it. `seconds`: how long its work takes after it was accepted;
    `refuses` and `fails` raise for a body: at once, or at the end of the work."""

    type: str
    store: ResourceStore
    log: list[str] = field(default_factory=list)
    seconds: float = 0.0
    extra: dict = field(default_factory=dict)
    answers: dict[str, object] = field(default_factory=dict)
    refuses: Callable[[ResourceId, dict], None] | None = None
    fails: Callable[[ResourceId, dict], None] | None = None
    needs_gone: str = ""

    async def put(self, id: ResourceId, body: dict, api_version: str) -> Accepted:
        self.log.append(f"put {id.name}")
        if self.refuses:
            self.refuses(id, body)
        created = self.store.get(id) is None
        properties = {**body.get("properties", {}), **self.extra}
        self.store.put(Resource(id, {**body, "properties": properties}))

        async def work() -> None:
            await asyncio.sleep(self.seconds)
            if self.fails:
                self.fails(id, body)
            self.log.append(f"done {id.name}")

        return Accepted(self.get(id, api_version), created, "async", work())

    async def patch(self, id: ResourceId, body: dict, api_version: str) -> Accepted:
        raise NotImplementedError

    async def delete(self, id: ResourceId, api_version: str) -> Accepted:
        if self.needs_gone and list(self.store.list(type=self.needs_gone)):
            raise ArmError(409, "InUse", f"{id.name} is in use")
        self.log.append(f"delete {id.name}")
        self.store.delete(id)
        return Accepted(None)

    def get(self, id: ResourceId, api_version: str) -> dict | None:
        found = self.store.get(id)
        if found is None:
            return None
        return {"id": str(found.id), "name": id.name, "type": self.type, **found.body}

    def list(self, scope: str, api_version: str) -> list[dict]:
        return [self.get(r.id, "") for r in self.store.list(prefix=scope, type=self.type)]

    async def action(self, id: ResourceId, action: str, body: dict | None, api_version: str):
        await asyncio.sleep(0)
        self.log.append(f"{action} {id.name}")
        return self.answers[action.lower()]


class TinyProviders:
    """A table of them by type."""

    def __init__(self, store: ResourceStore) -> None:
        self.store = store
        self.log: list[str] = []
        self._known: dict[str, TinyProvider] = {}

    def add(self, type: str, **options) -> TinyProvider:
        provider = TinyProvider(type, self.store, self.log, **options)
        self._known[type.lower()] = provider
        return provider

    def of(self, type: str) -> TinyProvider:
        if type.lower() not in self._known:
            raise ArmError(400, "InvalidResourceType", f"The resource type '{type}' is unknown.")
        return self._known[type.lower()]
