"""What a deployment would change: the plan's resources against the live ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from azurebox.arm.expressions import is_expression
from azurebox.arm.functions.logic import are_equal
from azurebox.arm.planned import PlannedResource

# What every resource has by its place, not by its declaration.
_FIXED = ("id", "name", "type")


def compare_resource(resource: PlannedResource, live: dict[str, Any] | None) -> dict[str, Any]:
    """Return one change: Create, Modify with its delta, or NoChange.

    A value that only the running deployment knows is taken to stay as it is.
    """
    body = resource.body(resource.scope, keep_runtime=True)
    after = {
        "apiVersion": resource.api_version,
        "id": resource.id,
        "name": resource.name.rpartition("/")[2],
        "type": resource.type,
        **body,
    }
    if live is None:
        return {"resourceId": resource.id, "changeType": "Create", "after": after}
    delta = list(compare_values(live, body))
    return {
        "resourceId": resource.id,
        "changeType": "Modify" if delta else "NoChange",
        "before": live,
        "after": after,
        "delta": delta,
    }


def unknown_deployment(nested: PlannedResource) -> dict[str, Any]:
    """Return the change of a nested deployment whose resources only the running one knows."""
    return {
        "resourceId": nested.id,
        "changeType": "Unsupported",
        "unsupportedReason": "The nested deployment's parameters have no value before it runs, so"
        " its resources are not known.",
    }


def ignored_resource(live: dict[str, Any]) -> dict[str, Any]:
    """Return the change of a resource that the template does not name: none."""
    return {"resourceId": live["id"], "changeType": "Ignore", "before": live, "after": live}


def compare_values(before: Any, after: Any, path: str = "") -> Iterator[dict[str, Any]]:
    """Yield what `after` changes in `before`; what `after` leaves out stays as it is."""
    if isinstance(after, dict):
        members = cast("dict[str, Any]", after)
        known = cast("dict[str, Any]", before) if isinstance(before, dict) else {}
        spelled = {name.lower(): name for name in known}
        for name, value in members.items():
            if not path and name in _FIXED:
                continue
            inside = f"{path}.{name}" if path else name
            if name.lower() in spelled:
                yield from compare_values(known[spelled[name.lower()]], value, inside)
            elif value is not None and not _is_hidden(value):
                yield {"path": inside, "propertyChangeType": "Create", "after": value}
    elif isinstance(after, str) and is_expression(after):
        return
    elif isinstance(after, list) and isinstance(before, list):
        yield from _compare_arrays(cast("list[Any]", before), cast("list[Any]", after), path)
    elif not _same(before, after, path):
        yield {
            "path": path,
            "propertyChangeType": "Modify",
            "before": before,
            "after": after,
        }


def _compare_arrays(before: list[Any], after: list[Any], path: str) -> Iterator[dict[str, Any]]:
    children: list[dict[str, Any]] = []
    for at in range(max(len(before), len(after))):
        if at >= len(after):
            children.append({"path": str(at), "propertyChangeType": "Delete", "before": before[at]})
        elif at >= len(before):
            children.append({"path": str(at), "propertyChangeType": "Create", "after": after[at]})
        else:
            inner = list(compare_values(before[at], after[at]))
            if inner:
                change = {"path": str(at), "propertyChangeType": "Modify"}
                children.append(
                    {**change, "before": before[at], "after": after[at], "children": inner}
                )
    if children:
        yield {
            "path": path,
            "propertyChangeType": "Array",
            "before": before,
            "after": after,
            "children": children,
        }


def _same(before: Any, after: Any, path: str) -> bool:
    if path == "location" and isinstance(before, str) and isinstance(after, str):
        return _plain(before) == _plain(after)
    if isinstance(before, (int, float)) and isinstance(after, (int, float)):
        return before == after  # cpu sent as 2 and shown as 2.0
    return are_equal(before, after)


def _plain(location: str) -> str:
    return location.replace(" ", "").lower()


def _is_hidden(value: Any) -> bool:
    """Tell whether a value that GET does not show may be there all the same: a list* expression."""
    return isinstance(value, str) and is_expression(value)
