"""Revisions of container apps, kept alive: one replica each, restarted when it crashes.

A revision is a stored resource (Microsoft.App/containerApps/revisions). `private` holds its replica
{"name", "container", "restarts", "port", "created_at"}; a restarted azurebox goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from azurebox.errors import ArmError
from azurebox.providers.common import JsonObject, items, section
from azurebox.providers.containers import make_spec, random_suffix
from azurebox.providers.environments import EnvironmentStorages
from azurebox.providers.probes import is_ready
from azurebox.resource_id import ResourceId
from azurebox.runtime.base import ContainerStatus, Runtime
from azurebox.runtime.ingress import free_port
from azurebox.store import Resource, ResourceStore
from azurebox.times import utc_seconds

log = logging.getLogger(__name__)

APP = "Microsoft.App/containerApps"
REVISION = f"{APP}/revisions"
# A container that lived this long has not crashed quickly: its back-off starts anew.
QUICK_CRASH_S = 120.0
FAILED_AFTER = 5
# How many inactive revisions are kept, with the log of their last container.
KEPT_INACTIVE = 10
# The service's own: doubled each time, at most five minutes. Ours starts lower.
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 30.0, 60.0, 120.0, 300.0)
GRACE_S = 30.0
PROBE_EVERY_S = 0.25
# Until the container is started, which takes minutes where its image is to be pulled.
_NEW: JsonObject = {
    "healthState": "None",
    "provisioningState": "Provisioning",
    "runningState": "Processing",
    "provisioningError": None,
}


class Revisions:
    """Runs every active revision; owns a task for each."""

    def __init__(
        self,
        store: ResourceStore,
        runtime: Runtime,
        storages: EnvironmentStorages,
        on_change: Callable[[ResourceId], None],
    ) -> None:
        """`on_change(app)` is called whenever a revision becomes ready or stops being so."""
        self._store = store
        self._runtime = runtime
        self._storages = storages
        self._on_change = on_change
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._provisioned: dict[str, asyncio.Future[None]] = {}

    def adopt(self) -> None:
        """Take up every active revision."""
        for resource in list(self._store.list(type=REVISION)):
            if resource.body["properties"]["active"]:
                self.follow(resource.id)

    async def close(self) -> None:
        """Let go of the tasks; the containers go on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def is_busy(self) -> bool:
        """Whether a revision runs; one that has failed counts while its container still tries."""
        return any(
            r.body["properties"]["active"]
            and (r.body["properties"]["runningState"] != "Failed" or self._has_process(r))
            for r in self._store.list(type=REVISION)
        )

    @property
    def active_count(self) -> int:
        """How many revisions are kept running."""
        return len(self._tasks)

    async def halt_all(self) -> None:
        """Stop the containers of all revisions; the next azurebox starts them again."""
        ids = [r.id for r in self._store.list(type=REVISION) if r.id.key in self._tasks]
        await asyncio.gather(*(self._halt(id) for id in ids))

    def list(self, app: ResourceId) -> list[Resource]:
        """Return the app's revisions, newest first."""
        return list(self._store.list(prefix=str(app) + "/", type=REVISION))[::-1]

    def create(self, app: Resource, name: str, template: JsonObject) -> Resource:
        """Store a new active revision and start it."""
        id = ResourceId(app.id.subscription, app.id.group, REVISION, (app.id.name, name))
        properties: JsonObject = {
            "createdTime": utc_seconds(),
            "template": template,
            "active": True,
            "trafficWeight": 0,
            **{name: value for name, value in _NEW.items() if value},
        }
        resource = self._store.put(Resource(id, {"properties": properties}))
        self.follow(resource.id)
        return resource

    def follow(self, id: ResourceId) -> None:
        """Run the revision from now on, when it is not run already."""
        if id.key in self._tasks:
            return
        self._provisioned[id.key] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._run(id), name=f"revision {id.name}")
        self._tasks[id.key] = task
        task.add_done_callback(lambda _: self._tasks.pop(id.key, None))

    async def provisioned(self, id: ResourceId) -> None:
        """Return once the revision's container was started.

        Raises: ArmError when it cannot be: no such image, no such share.
        """
        future = self._provisioned.get(id.key)
        if future is not None:
            await asyncio.shield(future)

    async def activate(self, id: ResourceId) -> None:
        """Make the revision active and run it."""
        self._update(id, active=True, **_NEW)
        self.follow(id)

    async def deactivate(self, id: ResourceId) -> None:
        """Stop the revision and keep it, inactive."""
        await self._halt(id)
        if self._store.get(id):
            self._update(
                id, active=False, runningState="Stopped", healthState="None", trafficWeight=0
            )

    async def prune(self, app: ResourceId) -> None:
        """Forget the oldest inactive revisions beyond `KEPT_INACTIVE`."""
        inactive = [r for r in self.list(app) if not r.body["properties"]["active"]]
        for resource in inactive[KEPT_INACTIVE:]:
            await self._remove(resource)

    async def restart(self, id: ResourceId) -> None:
        """Stop the container and start a new one, with a clean count of crashes."""
        await self._halt(id)
        self._update(id, **_NEW)
        self.follow(id)

    async def forget(self, app: ResourceId) -> None:
        """Stop and remove all revisions of an app that is deleted."""
        for resource in self.list(app):
            await self._halt(resource.id)
            await self._remove(self._store.get(resource.id) or resource)

    def replica(self, resource: Resource) -> JsonObject:
        """The revision's one replica, {} before there is any."""
        return cast(JsonObject, resource.private.get("replica", {}))

    def status(self, resource: Resource) -> ContainerStatus | None:
        """How its container stands."""
        replica = self.replica(resource)
        return self._runtime.status(str(replica["container"])) if replica else None

    def _has_process(self, resource: Resource) -> bool:
        status = self.status(resource)
        return status is not None and status.state == "running"

    async def _halt(self, id: ResourceId) -> None:
        task = self._tasks.get(id.key)
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        resource = self._store.get(id)
        replica = self.replica(resource) if resource else {}
        if replica:
            await self._runtime.stop(str(replica["container"]), GRACE_S)

    async def _run(self, id: ResourceId) -> None:
        """Keep the revision's container running until the task is cancelled."""
        crashes = 0
        is_adopted = bool(self.replica(self._require(id)))
        while True:
            began = time.monotonic()
            try:
                replica = await self._start(id)
                if self._require(id).body["properties"]["provisioningState"] == "Provisioning":
                    self._update(id, provisioningState="Provisioned", runningState="Activating")
                self._settle(id, None)
                status = await self._watch(id, replica)
            except ArmError as error:
                self._settle(id, error)
                self._update(
                    id,
                    provisioningState="Failed",
                    runningState="Failed",
                    healthState="Unhealthy",
                    provisioningError=error.message,
                )
                self._changed(id)
                return
            except Exception:
                log.exception("revision %s failed inside azurebox", id.name)
                status = None
            if is_adopted and status and not status.started_at:
                is_adopted = False  # azurebox had ended while it started: that is no crash
                continue
            is_adopted = False
            crashes = crashes + 1 if time.monotonic() - began < QUICK_CRASH_S else 1
            if crashes >= FAILED_AFTER:
                self._crash_looping(id)
            else:
                self._update(id, runningState="Processing", healthState="Unhealthy")
            self._changed(id)
            await asyncio.sleep(BACK_OFF_S[min(crashes, len(BACK_OFF_S)) - 1])

    async def _start(self, id: ResourceId) -> JsonObject:
        """Return the replica, its container started; one that lives already is adopted.

        Raises: ArmError when it cannot start.
        """
        resource = self._require(id)
        replica = self.replica(resource)
        if replica:
            status = self._runtime.status(str(replica["container"]))
            is_given_up = status is None or status.reason == "ImagePullBackOff"
            if status and status.state != "terminated" and not is_given_up:
                return replica
        app = self._require(cast(ResourceId, id.parent))
        template = section(resource.body, "properties", "template")
        container = items(template, "containers")[0]
        restarts = int(replica["restarts"]) + 1 if replica else 0
        name = str(replica.get("name") or f"{id.name}-{random_suffix(10)}-{random_suffix(5)}")
        fresh: JsonObject = {
            "name": name,
            "container": f"{name}.{restarts}.{random_suffix(4)}",
            "restarts": restarts,
            "port": free_port(),
            "created_at": replica.get("created_at") or utc_seconds(),
        }
        self._store.put(replace(resource, private={**resource.private, "replica": fresh}))
        if replica:
            await self._drop(str(replica["container"]))
        spec = make_spec(
            container,
            name=str(fresh["container"]),
            template=template,
            environment_id=str(app.body["properties"]["environmentId"]),
            storages=self._storages,
            secret_values=cast(dict[str, str], app.private.get("secrets", {})),
            extra_env=self._environment(app, id, fresh),
        )
        await self._runtime.start(spec)
        status = self._runtime.status(spec.name)
        if status and status.reason == "ImagePullBackOff":
            why = self._runtime.events(spec.name)[-1].message
            raise ArmError(
                400,
                "ContainerAppOperationError",
                f"Failed to provision revision for container app '{app.id.name}'. Error details:"
                " The following field(s) are either invalid or missing. Field"
                f" 'template.containers.{container['name']}.image' is invalid with details:"
                f" 'Invalid value: \"{spec.image}\": the image cannot be pulled: {why}'.",
            )
        return fresh

    async def _watch(self, id: ResourceId, replica: JsonObject) -> ContainerStatus:
        """Wait until the container ends; meanwhile say when it becomes ready."""
        ending = asyncio.create_task(self._runtime.wait(str(replica["container"])))
        readiness = asyncio.create_task(self._await_ready(id, replica))
        try:
            return await asyncio.shield(ending)
        finally:
            for task in (ending, readiness):
                task.cancel()
            await asyncio.gather(ending, readiness, return_exceptions=True)

    async def _await_ready(self, id: ResourceId, replica: JsonObject) -> None:
        resource = self._require(id)
        app = self._require(cast(ResourceId, id.parent))
        container = items(resource.body, "properties", "template", "containers")[0]
        has_ingress = bool(section(app.body, "properties", "configuration", "ingress"))
        port = int(replica["port"])
        while True:
            if await is_ready(container, port, has_ingress=has_ingress):
                break
            await asyncio.sleep(PROBE_EVERY_S)
        self._update(
            id,
            provisioningState="Provisioned",
            runningState="Running",
            healthState="Healthy",
            provisioningError=None,
        )
        self._changed(id)

    def _crash_looping(self, id: ResourceId) -> None:
        container = items(self._require(id).body, "properties", "template", "containers")[0]
        self._update(
            id,
            provisioningState="Failed",
            runningState="Failed",
            healthState="Unhealthy",
            provisioningError=f"Container crashing: {container['name']}",
        )

    def _environment(self, app: Resource, id: ResourceId, replica: JsonObject) -> dict[str, str]:
        """What the service adds for apps, and the address to listen on: a real container has an
        address of its own, ours share this machine's."""
        ingress = section(app.body, "properties", "configuration", "ingress")
        return {
            "CONTAINER_APP_NAME": app.id.name,
            "CONTAINER_APP_REVISION": id.name,
            "CONTAINER_APP_REPLICA_NAME": str(replica["name"]),
            "CONTAINER_APP_HOSTNAME": str(ingress.get("fqdn") or ""),
            "CONTAINER_APP_PORT": str(ingress.get("targetPort") or ""),
            "HOST": "127.0.0.1",
            "PORT": str(replica["port"]),
        }

    def _settle(self, id: ResourceId, error: ArmError | None) -> None:
        future = self._provisioned.get(id.key)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(None)
            return
        future.set_exception(error)
        future.exception()  # nobody may be waiting for it

    def _changed(self, id: ResourceId) -> None:
        self._on_change(cast(ResourceId, id.parent))

    def _require(self, id: ResourceId) -> Resource:
        resource = self._store.get(id)
        if resource is None:
            raise ArmError(404, "ResourceNotFound", f"'{id.name}' was deleted.")
        return resource

    def _update(self, id: ResourceId, **properties: Any) -> None:
        resource = self._store.get(id)
        if resource is None:
            return
        merged = {**resource.body["properties"], **properties}
        body = {"properties": {k: v for k, v in merged.items() if v is not None}}
        self._store.put(replace(resource, body=body))

    async def _remove(self, resource: Resource) -> None:
        replica = self.replica(resource)
        if replica:
            await self._drop(str(replica["container"]))
        self._store.delete(resource.id)

    async def _drop(self, container: str) -> None:
        await self._runtime.stop(container, 0)  # one may wait for its image still
        await self._runtime.remove(container)
