"""Replicas of executions and revisions as the service shows them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from azurebox.providers.common import JsonObject
from azurebox.runtime.base import ContainerStatus
from azurebox.times import us_style

# The service's type for both kinds.
REPLICA_TYPE = "Microsoft.App/containerapps/revisions/replicas"


def replica_view(
    id: str,
    name: str,
    created_at: str,
    containers: Mapping[str, ContainerStatus | None],
    link_base: str,
    *,
    restarts: int = 0,
    is_ready: bool | None = None,
) -> JsonObject:
    """The replica with its containers' states and the addresses of their log streams.

    `link_base` is the https address of the replica below which containers/{name}/logstream lies;
    `is_ready` overrides what "running" says, for replicas with a readiness probe.
    """
    is_running = any(s and s.state == "running" for s in containers.values())
    shown = [
        _container(n, s, f"{link_base}/containers/{n}", restarts, is_ready)
        for n, s in containers.items()
    ]
    return {
        "id": id,
        "name": name,
        "type": REPLICA_TYPE,
        "properties": {
            "createdTime": created_at.replace("+00:00", "Z"),
            "runningState": "Running" if is_running else "NotRunning",
            "runningStateDetails": "",
            "containers": shown,
            "initContainers": [],
        },
    }


def _container(
    name: str, status: ContainerStatus | None, link: str, restarts: int, is_ready: bool | None
) -> JsonObject:
    is_running = status is not None and status.state == "running"
    shown: JsonObject = {
        "name": name,
        "ready": is_running if is_ready is None else is_running and is_ready,
        "started": is_running,
        "restartCount": restarts,
        "runningState": status.state.capitalize() if status else "Waiting",
        "runningStateDetails": _details(status),
        "logStreamEndpoint": f"{link}/logstream",
        "execEndpoint": f"{link.replace('https://', 'wss://', 1)}/exec",
    }
    if status and status.started_at:
        digest = hashlib.md5(link.encode(), usedforsecurity=False).hexdigest()
        shown["containerId"] = f"containerd://{digest}"
    return shown


def _details(status: ContainerStatus | None) -> str:
    if status is None or status.state == "waiting":
        reason = status.reason if status else "ContainerCreating"
        return f"Container is waiting with reason: {reason}."
    if status.state == "running":
        return f"Container started at: {us_style(status.started_at)}."
    return f"Container terminated with reason: {status.reason}, exit code: {status.exit_code}."
