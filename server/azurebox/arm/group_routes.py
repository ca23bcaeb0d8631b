"""Resource groups over HTTP, and the lists of everything in them."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

from aiohttp import web

from azurebox.arm.records import Groups
from azurebox.arm.requests import OperationResults, Router, read_body
from azurebox.errors import ArmError
from azurebox.providers.base import Providers
from azurebox.resource_id import ResourceId
from azurebox.store import ResourceStore

log = logging.getLogger(__name__)

_NAME = re.compile(r"[\w\-.()]{0,89}[\w\-()]")
_GROUP = "/subscriptions/{sub}/resourcegroups/{rg}"


class GroupRoutes:
    """PUT, GET, HEAD, PATCH, DELETE of a group; lists of groups and of resources."""

    def __init__(
        self, store: ResourceStore, groups: Groups, providers: Providers, results: OperationResults
    ) -> None:
        self._store = store
        self._groups = groups
        self._providers = providers
        self._results = results
        self._deleting: dict[tuple[str, str], asyncio.Task[str]] = {}

    def mount(self, router: Router) -> None:
        """Add the routes."""
        router.add("GET", "/subscriptions/{sub}/resourcegroups", self.list_groups)
        router.add("PUT", _GROUP, self.put)
        router.add("PATCH", _GROUP, self.patch)
        router.add("GET", _GROUP, self.get)
        router.add("HEAD", _GROUP, self.head)
        router.add("DELETE", _GROUP, self.delete)
        router.add("GET", _GROUP + "/resources", self.list_resources)
        router.add("GET", "/subscriptions/{sub}/resources", self.list_resources)

    def adopt(self) -> None:
        """Go on with every deletion that was under way when azurebox ended."""
        for subscription, name in self._groups.deleting():
            self._results.keep(self._begin_delete(subscription, name))

    async def list_groups(self, request: web.Request, sub: str) -> web.StreamResponse:
        """Answer all groups of the subscription."""
        groups = self._groups.list(sub)
        wanted = re.match(
            r"tagName eq '([^']*)'(?: and tagValue eq '([^']*)')?", request.query.get("$filter", "")
        )
        if wanted:
            groups = [g for g in groups if _has_tag(g, wanted[1], wanted[2])]
        top = request.query.get("$top", "")
        return web.json_response({"value": groups[: int(top)] if top.isdigit() else groups})

    async def put(self, request: web.Request, sub: str, rg: str) -> web.StreamResponse:
        """Create (201) or update (200) a group; its location is for good."""
        if not _NAME.fullmatch(rg):
            raise ArmError(
                400,
                "InvalidResourceGroup",
                f"The provided resource group name '{rg}' has these invalid characters or length."
                " The name can only be a letter, digit, '-', '.', '(', ')' or '_', at most 90"
                " characters, and must not end with '.'.",
            )
        body = (await read_body(request)).value
        location = body.get("location")
        if not isinstance(location, str) or not location:
            raise ArmError(
                400, "LocationRequired", "The location property is required for this definition."
            )
        location = location.replace(" ", "").lower()
        known = self._groups.find(sub, rg)
        if known and known["location"] != location:
            raise ArmError(
                409,
                "InvalidResourceGroupLocation",
                f"Invalid resource group location '{location}'. The Resource group already exists"
                f" in location '{known['location']}'.",
            )
        if known and known["properties"]["provisioningState"] == "Deleting":
            raise ArmError(
                409,
                "ResourceGroupBeingDeleted",
                f"The resource group '{rg}' is in deprovisioning state and cannot perform this"
                " operation.",
            )
        stored: dict[str, Any] = {"location": location}
        if body.get("managedBy"):
            stored["managedBy"] = body["managedBy"]
        stored["tags"] = body.get("tags") or {}
        stored["properties"] = {"provisioningState": "Succeeded"}
        group = self._groups.put(sub, rg, stored)
        return web.json_response(group, status=200 if known else 201)

    async def patch(self, request: web.Request, sub: str, rg: str) -> web.StreamResponse:
        """Change the tags."""
        self._groups.require(sub, rg)
        body = (await read_body(request)).value
        changes = {"tags": body["tags"]} if "tags" in body else {}
        return web.json_response(self._groups.change(sub, rg, changes))

    async def get(self, request: web.Request, sub: str, rg: str) -> web.StreamResponse:
        """Answer the group."""
        return web.json_response(self._groups.require(sub, rg))

    async def head(self, request: web.Request, sub: str, rg: str) -> web.StreamResponse:
        """Answer 204 for a group that is there, 404 otherwise."""
        return web.Response(status=204 if self._groups.find(sub, rg) else 404)

    async def delete(self, request: web.Request, sub: str, rg: str) -> web.StreamResponse:
        """Begin to delete the group with all that is in it."""
        self._groups.require(sub, rg)
        location = self._results.follow(request, sub, self._begin_delete(sub, rg))
        return web.Response(status=202, headers={"Location": location, "Retry-After": "1"})

    def _begin_delete(self, sub: str, rg: str) -> asyncio.Task[str]:
        """Return the task that deletes the group; there is one at a time."""
        key = (sub.lower(), rg.lower())
        task = self._deleting.get(key)
        if task is None:
            self._groups.set_state(sub, rg, "Deleting")
            task = asyncio.create_task(self._delete_all(sub, rg), name=f"delete group {rg}")
            self._deleting[key] = task
            task.add_done_callback(lambda _: self._deleting.pop(key, None))
        return task

    async def _delete_all(self, sub: str, rg: str) -> str:
        """Delete the resources through their providers; what others still need goes last.

        Raises: ArmError with what could not be deleted; the group stays then.
        """
        left = self._resources(f"/subscriptions/{sub}/resourceGroups/{rg}")
        while left:
            failures: list[ArmError] = []
            for id in left:
                try:
                    accepted = await self._providers.of(id.type).delete(id, "")
                    if accepted.done is not None:
                        await accepted.done
                except ArmError as e:
                    if e.status != 404:
                        failures.append(e)
            before = len(left)
            left = self._resources(f"/subscriptions/{sub}/resourceGroups/{rg}")
            if len(left) >= before and failures:
                self._groups.set_state(sub, rg, "Succeeded")
                details = [failure.body()["error"] for failure in failures]
                raise ArmError(
                    409,
                    "ResourceGroupDeletionBlocked",
                    f"Deletion of resource group '{rg}' failed as resources with identifiers"
                    f" '{', '.join(map(str, left))}' could not be deleted.",
                    details=details,
                )
            if len(left) >= before:
                break
        self._groups.remove(sub, rg)
        return ""

    def _resources(self, scope: str) -> list[ResourceId]:
        """Return the resources below a scope that are nobody's children, newest first."""
        found = [r.id for r in self._store.list(prefix=scope + "/") if _is_listed(r.id)]
        return [id for id in reversed(found) if id.parent is None]

    async def list_resources(
        self, request: web.Request, sub: str, rg: str = ""
    ) -> web.StreamResponse:
        """Answer the resources of a group or subscription in their short form."""
        if rg:
            self._groups.require(sub, rg)
        scope = f"/subscriptions/{sub}" + (f"/resourceGroups/{rg}" if rg else "")
        wanted = re.search(r"resourceType eq '([^']*)'", request.query.get("$filter", ""))
        tells_state = "provisioningState" in request.query.get("$expand", "")
        value: list[dict[str, Any]] = []
        for resource in self._store.list(prefix=scope + "/"):
            id = resource.id
            if not _is_listed(id) or id.parent is not None:
                continue
            if wanted and wanted[1].lower() != id.type.lower():
                continue
            keys = ("location", "tags", "kind", "sku", "identity", "managedBy")
            shown = {key: resource.body[key] for key in keys if key in resource.body}
            state = resource.body.get("properties", {}).get("provisioningState")
            if tells_state and state:
                shown["provisioningState"] = state
            value.append({"id": str(id), "name": id.name, "type": id.type, **shown})
        return web.json_response({"value": value})


def _is_listed(id: ResourceId) -> bool:
    """Tell whether it is a resource, and not a group's or a deployment's own record."""
    return not id.type.lower().startswith("microsoft.resources/")


def _has_tag(group: dict[str, Any], name: str, value: str | None) -> bool:
    tags: dict[str, Any] = group.get("tags") or {}
    return any(
        key.lower() == name.lower() and (value is None or tags[key] == value) for key in tags
    )
