"""What every provider does alike: look a resource up, stamp it, show it, merge a PATCH."""

from __future__ import annotations

from typing import Any, cast

from azurebox.errors import ArmError
from azurebox.resource_id import ResourceId
from azurebox.store import Resource, ResourceStore
from azurebox.times import utc_now

JsonObject = dict[str, Any]


def canonical(id: ResourceId, type: str) -> ResourceId:
    """The id with its type spelled as the provider spells it."""
    return ResourceId(id.subscription, id.group, type, id.names)


def view(resource: Resource, type: str | None = None) -> JsonObject:
    """The resource as GET shows it: id, name and type first."""
    return {
        "id": str(resource.id),
        "name": resource.id.name,
        "type": type or resource.id.type,
        **resource.body,
    }


def require(store: ResourceStore, id: ResourceId) -> Resource:
    """Raises: ArmError(404, "ResourceNotFound") in ARM's words."""
    resource = store.get(id)
    if resource is None:
        raise not_found(id)
    return resource


def require_parent(store: ResourceStore, id: ResourceId) -> Resource:
    """Raises: ArmError(404, "ParentResourceNotFound") when the parent is not there."""
    parent = id.parent
    found = store.get(parent) if parent else None
    if found is None:
        raise ArmError(
            404,
            "ParentResourceNotFound",
            f"Failed to perform 'write' on resource(s) of type '{id.type.partition('/')[2]}',"
            f" because the parent resource '{parent}' could not be found.",
        )
    return found


def not_found(id: ResourceId) -> ArmError:
    """The 404 for a resource that is not there."""
    path = "/".join(
        [id.type.split("/")[0]]
        + [f"{t}/{n}" for t, n in zip(id.type.split("/")[1:], id.names, strict=True)]
    )
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{path}' under resource group '{id.group}' was not found. For more details"
        " please go to https://aka.ms/ARMResourceNotFoundFix",
        headers={"x-ms-failure-cause": "gateway"},
    )


def system_data(known: Resource | None, client_id: str = "azurebox") -> JsonObject:
    """Who made and changed the resource, and when; creation stays what it was."""
    now = utc_now()
    before = cast(JsonObject, known.body.get("systemData", {})) if known else {}
    return {
        "createdBy": before.get("createdBy", client_id),
        "createdByType": "Application",
        "createdAt": before.get("createdAt", now),
        "lastModifiedBy": client_id,
        "lastModifiedByType": "Application",
        "lastModifiedAt": now,
    }


def merge(old: Any, new: Any) -> Any:
    """JSON merge patch (RFC 7396): objects are merged, null removes, the rest replaces."""
    if not isinstance(new, dict):
        return new
    result: JsonObject = dict(cast(JsonObject, old)) if isinstance(old, dict) else {}
    for key, value in cast(JsonObject, new).items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def section(body: JsonObject, *path: str) -> JsonObject:
    """The object at that path of the body; {} where there is none."""
    here: Any = body
    for key in path:
        here = cast(JsonObject, here).get(key) if isinstance(here, dict) else None
    return cast(JsonObject, here) if isinstance(here, dict) else {}


def items(body: JsonObject, *path: str) -> list[JsonObject]:
    """The list of objects at that path; [] where there is none."""
    holder = section(body, *path[:-1])
    value = holder.get(path[-1])
    found = cast(list[Any], value) if isinstance(value, list) else []
    return [cast(JsonObject, item) for item in found if isinstance(item, dict)]


def require_location(body: JsonObject) -> str:
    """Raises: ArmError(400, "LocationRequired")."""
    location = body.get("location")
    if not isinstance(location, str) or not location.strip():
        raise ArmError(
            400, "LocationRequired", "The location property is required for this definition."
        )
    return location
