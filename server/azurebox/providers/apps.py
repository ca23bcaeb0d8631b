"""Microsoft.App/containerApps: the app, its ingress and which revision serves.

Source: Microsoft.App 2024-03-01, SDK 2026-07-01, and recorded answers of the service.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, cast

from azurebox.errors import ArmError
from azurebox.providers.addresses import Addresses
from azurebox.providers.base import Accepted
from azurebox.providers.common import (
    JsonObject,
    canonical,
    items,
    merge,
    require,
    require_location,
    section,
    system_data,
    view,
)
from azurebox.providers.containers import (
    Secrets,
    check_name,
    check_template,
    normal_template,
    random_suffix,
)
from azurebox.providers.jobs import environment_of, workload_profile
from azurebox.providers.log_tokens import LogTokens
from azurebox.providers.regions import display_name
from azurebox.providers.revisions import APP, Revisions
from azurebox.resource_id import ResourceId
from azurebox.runtime.base import Ingress
from azurebox.store import Resource, ResourceStore

log = logging.getLogger(__name__)


class ContainerApps:
    """Microsoft.App/containerApps."""

    type = APP

    def __init__(
        self,
        store: ResourceStore,
        revisions: Revisions,
        ingress: Ingress,
        log_tokens: LogTokens,
        addresses: Addresses,
    ) -> None:
        self._store = store
        self._revisions = revisions
        self._ingress = ingress
        self._log_tokens = log_tokens
        self._addresses = addresses
        self._tasks: set[asyncio.Task[None]] = set()

    async def adopt(self) -> None:
        """Open the ports of all apps again, run their revisions, go on where a PUT was cut off."""
        apps = list(self._store.list(type=APP))
        for app in apps:
            if section(app.body, "properties", "configuration", "ingress"):
                await self._open(app)
            self.refresh(app.id)
        self._revisions.adopt()
        for app in apps:
            if app.body["properties"]["provisioningState"] == "InProgress":
                self._spawn(self._provision(app.id))

    async def close(self) -> None:
        """Let go of work in progress."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def put(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Create or replace. A changed template makes a new revision, as in the service."""
        location = require_location(body)
        check_name("ContainerApp", id.name)
        id = canonical(id, self.type)
        known = self._store.get(id)
        given = section(body, "properties")
        environment = environment_of(self._store, given, id)
        known_secrets = cast(dict[str, str], known.private.get("secrets", {})) if known else {}
        secrets = Secrets.read(section(given, "configuration"), known_secrets)
        template = section(given, "template")
        check_template(template, secrets.values)
        if len(items(template, "containers")) > 1 or items(template, "initContainers"):
            raise ArmError(
                501, "NotImplemented", "azurebox runs apps of one container, not of several, yet."
            )
        before: JsonObject = known.body["properties"] if known else {}
        configuration = _configuration(section(given, "configuration"), secrets)
        properties: JsonObject = {
            "provisioningState": "InProgress",
            "runningStatus": "Running",
            "managedEnvironmentId": str(environment.id),
            "environmentId": str(environment.id),
            "workloadProfileName": workload_profile(environment, given),
            "outboundIpAddresses": ["127.0.0.1"],
            "customDomainVerificationId": section(
                environment.body, "properties", "customDomainConfiguration"
            ).get("customDomainVerificationId"),
            "configuration": configuration,
            "template": _template(template),
            "delegatedIdentities": [],
            **{
                k: before[k]
                for k in ("latestRevisionName", "latestReadyRevisionName")
                if before.get(k)
            },
        }
        shown: JsonObject = {
            "location": display_name(location),
            "tags": body.get("tags") or {},
            "systemData": system_data(known),
            "properties": properties,
            "identity": body.get("identity") or {"type": "None"},
        }
        # As long as the new secrets differ, the old revision must not go on with the old ones.
        has_new_secrets = known is not None and (
            known_secrets != secrets.values or bool(known.private.get("has_new_secrets"))
        )
        private = {"secrets": secrets.values, "has_new_secrets": has_new_secrets}
        app = self._store.put(Resource(id, shown, private))
        if configuration["ingress"]:
            await self._open(app)
        elif known and section(known.body, "properties", "configuration", "ingress"):
            await self._ingress.close(_ingress_name(id))
        done = self._spawn(self._provision(app.id))
        return Accepted(self.get(id, api_version), known is None, "async", done)

    async def patch(self, id: ResourceId, body: JsonObject, api_version: str) -> Accepted:
        """Merge the body into the app."""
        known = require(self._store, id)
        return await self.put(known.id, merge(known.body, body), api_version)

    async def delete(self, id: ResourceId, api_version: str) -> Accepted:
        """Stop all revisions, then delete."""
        known = self._store.get(id)
        if known is None:
            return Accepted(None)

        async def work() -> None:
            await self._revisions.forget(known.id)
            self._store.delete(known.id)
            await self._ingress.close(_ingress_name(known.id))

        return Accepted(None, True, "location", asyncio.create_task(work()))

    def get(self, id: ResourceId, api_version: str) -> JsonObject | None:
        """Return the app without secret values."""
        resource = self._store.get(id)
        return self._show(resource) if resource else None

    def list(self, scope: str, api_version: str) -> list[JsonObject]:
        """Return the apps of a group or a subscription."""
        return [self._show(r) for r in self._store.list(prefix=scope + "/", type=self.type)]

    async def action(
        self, id: ResourceId, action: str, body: JsonObject | None, api_version: str
    ) -> Any:
        """Answer start, stop, listSecrets, getAuthToken."""
        app = require(self._store, id)
        match action.lower():
            case "listsecrets":
                return Secrets(cast(dict[str, str], app.private["secrets"])).listed()
            case "getauthtoken":
                return self._log_tokens.issue(app, "Microsoft.App/containerApps/accesstoken")
            case "stop":
                done = self._spawn(self._stop(app))
                return Accepted(self._show(app), False, "location", done)
            case "start":
                done = self._spawn(self._start(app))
                return Accepted(self._show(app), False, "location", done)
            case _:
                raise ArmError(
                    501, "NotImplemented", f"azurebox does not know the action {action} of an app."
                )

    def refresh(self, id: ResourceId) -> None:
        """Route to the newest ready revision, and retire the ones before it."""
        app = self._store.get(id)
        if app is None:
            return
        revisions = [r for r in self._revisions.list(app.id) if r.body["properties"]["active"]]
        ready = next(
            (r for r in revisions if r.body["properties"].get("healthState") == "Healthy"), None
        )
        if section(app.body, "properties", "configuration", "ingress"):
            port = int(self._revisions.replica(ready)["port"]) if ready else None
            self._ingress.route(_ingress_name(app.id), port)
        if ready is None:
            return
        self._set(app.id, latestReadyRevisionName=ready.id.name)
        if section(app.body, "properties", "configuration")["activeRevisionsMode"] == "Single":
            for old in revisions[revisions.index(ready) + 1 :]:
                self._spawn(self._retire(old.id))

    async def _open(self, app: Resource) -> None:
        """Open the app's port and put its address into the app."""
        port = await self._ingress.open(_ingress_name(app.id))
        configuration = section(app.body, "properties", "configuration")
        ingress = {**section(configuration, "ingress"), "fqdn": f"127.0.0.1:{port}"}
        self._set(app.id, configuration={**configuration, "ingress": ingress})

    async def _provision(self, id: ResourceId) -> None:
        """Bring the app to its template: a new revision, or the latest one again.

        Raises: ArmError when the revision cannot be provisioned.
        """
        app = require(self._store, id)
        template = section(app.body, "properties", "template")
        latest = next(iter(self._revisions.list(app.id)), None)
        if latest is None or not _is_same(latest.body["properties"]["template"], template):
            name = f"{app.id.name}--{template.get('revisionSuffix') or random_suffix(7)}"
            if any(r.id.name == name for r in self._revisions.list(app.id)):
                self._set(app.id, provisioningState="Failed")
                raise ArmError(
                    400,
                    "ContainerAppRevisionSuffixInUse",
                    f"A revision '{name}' exists with another template; choose another suffix.",
                )
            latest = self._revisions.create(app, name, template)
        elif not latest.body["properties"]["active"]:
            await self._revisions.activate(latest.id)
        elif _has_failed(latest) or app.private.get("has_new_secrets"):
            await self._revisions.restart(latest.id)
        app = self._set(app.id, latestRevisionName=latest.id.name)
        self._store.put(replace(app, private={**app.private, "has_new_secrets": False}))
        try:
            await self._revisions.provisioned(latest.id)
        except ArmError:
            self._set(app.id, provisioningState="Failed")
            raise
        self._set(app.id, provisioningState="Succeeded")
        self.refresh(app.id)

    async def _retire(self, revision: ResourceId) -> None:
        await self._revisions.deactivate(revision)
        await self._revisions.prune(cast(ResourceId, revision.parent))

    async def _stop(self, app: Resource) -> None:
        for revision in self._revisions.list(app.id):
            if revision.body["properties"]["active"]:
                await self._revisions.deactivate(revision.id)
        self._set(app.id, runningStatus="Stopped")
        self.refresh(app.id)

    async def _start(self, app: Resource) -> None:
        latest = next(iter(self._revisions.list(app.id)), None)
        if latest:
            await self._revisions.activate(latest.id)
            await self._revisions.provisioned(latest.id)
        self._set(app.id, runningStatus="Running")

    def _spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        """Do the work even when nobody polls for its end."""

        async def run() -> None:
            await work

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error and not isinstance(error, ArmError):
            log.error("work on an app failed", exc_info=error)

    def _set(self, id: ResourceId, **properties: Any) -> Resource:
        app = require(self._store, id)
        body = {**app.body, "properties": {**app.body["properties"], **properties}}
        return self._store.put(replace(app, body=body))

    def _show(self, resource: Resource) -> JsonObject:
        shown = view(resource)
        id = resource.id
        properties: JsonObject = dict(cast(JsonObject, shown["properties"]))
        ingress = section(properties, "configuration", "ingress")
        if ingress and properties.get("latestRevisionName"):
            properties["latestRevisionFqdn"] = ingress.get("fqdn")
        properties["eventStreamEndpoint"] = (
            f"{self._addresses.arm_url}/subscriptions/{id.subscription}"
            f"/resourceGroups/{id.group}/containerApps/{id.name}/eventstream"
        )
        return {**shown, "properties": properties}


def _ingress_name(id: ResourceId) -> str:
    """Names the app among all of this azurebox, also where two groups have one of the same name."""
    return f"{id.group.lower()}--{id.name.lower()}"


def _configuration(given: JsonObject, secrets: Secrets) -> JsonObject:
    ingress = section(given, "ingress")
    shown_ingress: JsonObject | None = None
    if ingress:
        shown_ingress = {
            "external": False,
            "exposedPort": 0,
            "transport": "Auto",
            "traffic": [{"weight": 100, "latestRevision": True}],
            "customDomains": None,
            "allowInsecure": False,
            "ipSecurityRestrictions": None,
            "corsPolicy": None,
            "clientCertificateMode": None,
            "stickySessions": None,
            "additionalPortMappings": None,
            **{k: v for k, v in ingress.items() if v is not None},
            "fqdn": None,
        }
    return {
        "secrets": secrets.shown(),
        "activeRevisionsMode": given.get("activeRevisionsMode") or "Single",
        "ingress": shown_ingress,
        "registries": given.get("registries"),
        "identitySettings": given.get("identitySettings") or [],
        "dapr": None,
        "maxInactiveRevisions": given.get("maxInactiveRevisions") or 100,
        "service": None,
    }


def _template(template: JsonObject) -> JsonObject:
    scale = {
        "minReplicas": None,
        "maxReplicas": 10,
        "rules": None,
        **{k: v for k, v in section(template, "scale").items() if v is not None},
    }
    return {
        "revisionSuffix": "",
        "terminationGracePeriodSeconds": None,
        "serviceBinds": None,
        **normal_template(template),
        "scale": scale,
    }


def _has_failed(revision: Resource) -> bool:
    return revision.body["properties"]["runningState"] == "Failed"


def _is_same(one: JsonObject, other: JsonObject) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
