"""Hosting on the Azure SDKs: container apps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient

from tunesmith.azure.errors import told
from tunesmith.azure.model_json import json_of
from tunesmith.core.json_values import at, items, mapping, words
from tunesmith.core.ports import App


class AzureHosting:
    """See `tunesmith.core.ports.Hosting`."""

    def __init__(self, client: ContainerAppsAPIClient, group: str) -> None:
        self._client = client
        self._group = group

    async def app(self, name: str) -> App | None:
        """Return the app as the service describes it."""
        with told(name):
            try:
                found = await self._client.container_apps.get(self._group, name)
            except ResourceNotFoundError:
                return None
        return _app(name, json_of(found))

    async def secret(self, name: str, secret: str) -> str | None:
        """Read one of the app's secrets."""
        with told(name):
            try:
                answer = await self._client.container_apps.list_secrets(self._group, name)
            except ResourceNotFoundError:
                return None
        for entry in items(json_of(answer).get("value")):
            if words(mapping(entry).get("name")) == secret:
                return words(mapping(entry).get("value")) or None
        return None

    async def start(self, name: str) -> None:
        """Start a stopped app."""
        with told(name):
            await (await self._client.container_apps.begin_start(self._group, name)).result()

    async def stop(self, name: str) -> None:
        """Stop a running app."""
        with told(name):
            await (await self._client.container_apps.begin_stop(self._group, name)).result()


def _app(name: str, body: Mapping[str, Any]) -> App:
    properties = mapping(body.get("properties"))
    containers = items(at(properties, "template", "containers"))
    env = items(mapping(containers[0]).get("env")) if containers else []
    provisioning = words(properties.get("provisioningState"))
    running = words(properties.get("runningStatus"))
    state: Literal["running", "stopped", "progressing", "failed"]
    if running in ("Stopped", "Suspended"):
        state = "stopped"
    elif provisioning == "Failed":
        state = "failed"
    elif provisioning in ("InProgress", "Waiting") or running == "Progressing":
        state = "progressing"
    else:
        state = "running"
    return App(
        name=words(body.get("name")) or name,
        host=words(at(properties, "configuration", "ingress", "fqdn")),
        state=state,
        revision=words(properties.get("latestRevisionName")),
        env={
            words(mapping(e).get("name")): words(mapping(e).get("value"))
            for e in env
            if not mapping(e).get("secretRef")
        },
        detail=running,
    )
