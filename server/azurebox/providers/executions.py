"""Executions of jobs: started, retried, timed out, stopped, and adopted after a restart.

An execution is a stored resource (Microsoft.App/jobs/executions). Its `private` part says which
replicas it has had; everything else about a replica is the runtime's.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import Any, cast

from azurebox.errors import ArmError
from azurebox.providers.common import JsonObject, items, section
from azurebox.providers.containers import make_spec, random_suffix
from azurebox.providers.environments import EnvironmentStorages
from azurebox.resource_id import ResourceId
from azurebox.runtime.base import ContainerStatus, Runtime
from azurebox.store import Resource, ResourceStore
from azurebox.times import age_s, utc_seconds

log = logging.getLogger(__name__)

EXECUTION = "Microsoft.App/jobs/executions"
JOB = "Microsoft.App/jobs"
ACTIVE = ("Running", "Processing")
# The service shows the latest hundred or so.
KEPT = 100
GRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a replica ended. `is_lost`: it never ran, because azurebox ended while starting it."""

    is_success: bool
    reason: str = ""
    message: str = ""
    is_lost: bool = False


class Executions:
    """Runs executions; owns a task for each one that is active."""

    def __init__(
        self, store: ResourceStore, runtime: Runtime, storages: EnvironmentStorages
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._storages = storages
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    def adopt(self) -> None:
        """Take up every execution that was active when azurebox ended."""
        for resource in list(self._store.list(type=EXECUTION)):
            if resource.body["properties"]["status"] in ACTIVE:
                self._follow(resource.id)
                if resource.private.get("is_stopping"):
                    self._spawn_stop(resource.id)

    async def close(self) -> None:
        """Let go of the tasks; the containers go on."""
        tasks = [*self._tasks.values(), *self._stopping]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def is_busy(self) -> bool:
        """Whether any execution is active."""
        return bool(self._tasks)

    @property
    def active_count(self) -> int:
        """How many executions are active."""
        return len(self._tasks)

    async def stop_all(self) -> None:
        """Stop every active execution and return when all have ended."""
        tasks = list(self._tasks.values())
        for resource in list(self._store.list(type=EXECUTION)):
            if resource.id.key in self._tasks:
                self.stop(resource.id)
        await asyncio.gather(*tasks, return_exceptions=True)

    def start(self, job: Resource, template: JsonObject) -> Resource:
        """Start an execution of the job with this template; it is stored before it runs."""
        name = f"{job.id.name}-{random_suffix(7)}"
        id = ResourceId(job.id.subscription, job.id.group, EXECUTION, (job.id.name, name))
        properties: JsonObject = {
            "status": "Running",
            "startTime": utc_seconds(),
            "template": template,
        }
        private: JsonObject = {"replicas": []}
        resource = self._store.put(Resource(id, {"properties": properties}, private))
        self._follow(resource.id)
        return resource

    def list(self, job: ResourceId) -> list[Resource]:
        """Return the job's executions, newest first."""
        found = list(self._store.list(prefix=str(job) + "/", type=EXECUTION))
        return found[::-1]

    def stop(self, id: ResourceId) -> Resource:
        """Ask the execution to end: SIGTERM, and SIGKILL after the grace. An ended one stays.

        Raises: ArmError(404) for an unknown one.
        """
        resource = self._require(id)
        if resource.body["properties"]["status"] not in ACTIVE:
            return resource
        private = {**resource.private, "is_stopping": True}
        resource = self._update(replace(resource, private=private), status="Processing")
        self._spawn_stop(resource.id)
        return resource

    async def forget(self, job: ResourceId) -> None:
        """Stop and remove all executions of a job that is deleted."""
        for resource in self.list(job):
            if task := self._tasks.get(resource.id.key):
                self.stop(resource.id)
                await asyncio.wait({task})
            await self._remove(resource)

    def replicas(self, resource: Resource) -> list[JsonObject]:
        """The replicas an execution has had, oldest first: {"name", "containers": {name: id}}."""
        return cast(list[JsonObject], resource.private.get("replicas", []))

    def _require(self, id: ResourceId) -> Resource:
        resource = self._store.get(id)
        if resource is None:
            raise ArmError(
                404,
                "JobExecutionNotFound",
                f"Job execution '{id.name}' was not found.",
            )
        return resource

    def _follow(self, id: ResourceId) -> None:
        task = asyncio.create_task(self._run(id), name=f"execution {id.name}")
        self._tasks[id.key] = task
        task.add_done_callback(lambda _: self._tasks.pop(id.key, None))

    def _spawn_stop(self, id: ResourceId) -> None:
        task = asyncio.create_task(self._stop_containers(id), name=f"stop {id.name}")
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def _stop_containers(self, id: ResourceId) -> None:
        resource = self._store.get(id)
        if resource is None:
            return
        names = [n for r in self.replicas(resource) for n in r["containers"].values()]
        await asyncio.gather(*(self._runtime.stop(n, GRACE_S) for n in names))

    async def _run(self, id: ResourceId) -> None:
        """Run the execution to its end and write the end down."""
        try:
            outcome = await self._attempts(id)
        except ArmError as error:
            outcome = _Outcome(False, error.code, error.message)
        except Exception as error:
            log.exception("execution %s failed inside azurebox", id.name)
            outcome = _Outcome(False, "InternalError", f"azurebox failed: {type(error).__name__}")
        resource = self._store.get(id)
        if resource is None:
            return
        if outcome.is_success:
            status = "Succeeded"
        elif resource.private.get("is_stopping"):
            status = "Stopped"
        else:
            status = "Failed"
        extra: JsonObject = {}
        if status == "Failed":
            extra = {"reason": outcome.reason, "message": outcome.message}
        self._update(resource, status=status, endTime=utc_seconds(), **extra)
        parent = cast(ResourceId, id.parent)
        for old in self.list(parent)[KEPT:]:
            if old.body["properties"]["status"] not in ACTIVE:
                await self._remove(old)

    async def _attempts(self, id: ResourceId) -> _Outcome:
        """Fill the job's slots; a failure is tried again until the limit is used up."""
        job = self._job(id)
        configuration = section(job.body, "properties", "configuration")
        manual = section(configuration, "manualTriggerConfig")
        slots = int(manual.get("replicaCompletionCount") or 1)
        width = asyncio.Semaphore(int(manual.get("parallelism") or 1))
        retries = int(configuration.get("replicaRetryLimit") or 0)
        timeout_s = float(configuration.get("replicaTimeout") or 1800)
        failures = 0

        async def fill(slot: int) -> _Outcome:
            nonlocal failures
            async with width:
                attempt = 0
                while True:
                    outcome = await self._replica(id, slot, attempt, timeout_s)
                    attempt += 1
                    if outcome.is_lost:
                        continue
                    if outcome.is_success or self._is_stopping(id):
                        return outcome
                    failures += 1
                    if failures > retries or outcome.reason == "DeadlineExceeded":
                        return outcome

        outcomes = await asyncio.gather(*(fill(slot) for slot in range(slots)))
        return next((o for o in outcomes if not o.is_success), outcomes[0])

    async def _replica(self, id: ResourceId, slot: int, attempt: int, timeout_s: float) -> _Outcome:
        """Run one replica to its end; one that exists already is followed, not started again."""
        if self._is_stopping(id) and not self._known_replica(id, slot, attempt):
            return _Outcome(False, "Stopped")
        template = section(self._require(id).body, "properties", "template")
        adopted = self._known_replica(id, slot, attempt)
        replica = adopted or self._new_replica(id, slot, attempt, template)
        stages = [[c] for c in items(template, "initContainers")]
        outcome = _Outcome(True)
        for containers in [*stages, items(template, "containers")]:
            outcome = await self._containers(id, replica, containers, timeout_s)
            if not outcome.is_success:
                break
        # Only one from before a restart can have been lost: a fresh one that never ran has failed.
        return outcome if adopted else replace(outcome, is_lost=False)

    async def _containers(
        self, id: ResourceId, replica: JsonObject, containers: list[JsonObject], timeout_s: float
    ) -> _Outcome:
        """Run containers side by side until all have ended or the time is up."""
        await asyncio.gather(*(self._start(id, replica, c) for c in containers))
        names: list[str] = [replica["containers"][str(c["name"])] for c in containers]
        if self._is_stopping(id):
            await asyncio.gather(*(self._runtime.stop(n, GRACE_S) for n in names))
        waits = [asyncio.create_task(self._end_of(n)) for n in names]
        try:
            _, late = await asyncio.wait(waits, timeout=self._time_left_s(names, timeout_s))
            if late:
                await asyncio.gather(*(self._runtime.stop(n, GRACE_S) for n in names))
                return _Outcome(
                    False,
                    "DeadlineExceeded",
                    f"The replica ran longer than replicaTimeout, {timeout_s:.0f} seconds.",
                )
            ended = [wait.result() for wait in waits]
        finally:
            for wait in waits:
                wait.cancel()
        return self._judge(dict(zip(names, ended, strict=True)), replica)

    def _judge(self, ended: dict[str, ContainerStatus], replica: JsonObject) -> _Outcome:
        """What the ends of a replica's containers, by their full names, mean for the replica."""
        by_full_name = {full: name for name, full in replica["containers"].items()}
        for status in ended.values():
            if status.reason in ("ContainerLost", "StartError") and not status.started_at:
                return _Outcome(
                    False, status.reason, "The container was never started.", is_lost=True
                )
        for full_name, status in ended.items():
            name = by_full_name[full_name]
            if status.state == "waiting":
                why = self._runtime.events(full_name)[-1].message
                sentence = f"The image of container '{name}' cannot be pulled: {why}"
                return _Outcome(False, "ImagePullBackOff", sentence)
            if status.exit_code != 0:
                return _Outcome(
                    False,
                    "BackoffLimitExceeded",
                    f"Container '{name}' ended with exit code {status.exit_code}"
                    f" ({status.reason}).",
                )
        return _Outcome(True)

    async def _start(self, id: ResourceId, replica: JsonObject, container: JsonObject) -> None:
        name = str(container["name"])
        full_name: str = replica["containers"][name]
        if self._runtime.status(full_name) is not None:
            return
        job = self._job(id)
        spec = make_spec(
            container,
            name=full_name,
            template=self._with_volumes(id),
            environment_id=str(job.body["properties"]["environmentId"]),
            storages=self._storages,
            secret_values=cast(dict[str, str], job.private.get("secrets", {})),
            extra_env={
                "CONTAINER_APP_JOB_NAME": job.id.name,
                "CONTAINER_APP_JOB_EXECUTION_NAME": id.name,
                "CONTAINER_APP_REPLICA_NAME": str(replica["name"]),
            },
        )
        await self._runtime.start(spec)

    async def _end_of(self, name: str) -> ContainerStatus:
        """Return once the container has ended, or waits for an image that nobody can pull."""
        while True:
            status = self._runtime.status(name)
            if status is None:
                return ContainerStatus("terminated", "ContainerLost", None, "", "", None)
            if status.state == "waiting" and status.reason == "ImagePullBackOff":
                return status
            if status.state != "waiting":
                return await self._runtime.wait(name)
            await asyncio.sleep(0.1)

    def _time_left_s(self, names: list[str], timeout_s: float) -> float:
        """Seconds until the timeout, counted from the start of the first container."""
        started = [s.started_at for n in names if (s := self._runtime.status(n)) and s.started_at]
        return max(0.0, timeout_s - age_s(min(started))) if started else timeout_s

    def _known_replica(self, id: ResourceId, slot: int, attempt: int) -> JsonObject | None:
        for replica in self.replicas(self._require(id)):
            if (replica["slot"], replica["attempt"]) == (slot, attempt):
                return replica
        return None

    def _new_replica(
        self, id: ResourceId, slot: int, attempt: int, template: JsonObject
    ) -> JsonObject:
        """Write the replica down before anything of it starts, so that a restart finds it."""
        name = f"{id.name}-{random_suffix(5)}"
        first, *others = [str(c["name"]) for c in items(template, "containers")]
        others += [str(c["name"]) for c in items(template, "initContainers")]
        replica: JsonObject = {
            "name": name,
            "slot": slot,
            "attempt": attempt,
            "created_at": utc_seconds(),
            "containers": {first: name, **{other: f"{name}.{other}" for other in others}},
        }
        resource = self._require(id)
        replicas = [*self.replicas(resource), replica]
        self._store.put(replace(resource, private={**resource.private, "replicas": replicas}))
        return replica

    def _with_volumes(self, id: ResourceId) -> JsonObject:
        """The execution's template with the job's volumes, which an override inherits."""
        template = section(self._require(id).body, "properties", "template")
        job_template = section(self._job(id).body, "properties", "template")
        return {**template, "volumes": items(template, "volumes") or items(job_template, "volumes")}

    def _job(self, id: ResourceId) -> Resource:
        job = self._store.get(cast(ResourceId, id.parent))
        if job is None:
            raise ArmError(404, "JobNotFound", f"The job of execution '{id.name}' is gone.")
        return job

    def _is_stopping(self, id: ResourceId) -> bool:
        resource = self._store.get(id)
        return resource is None or bool(resource.private.get("is_stopping"))

    def _update(self, resource: Resource, **properties: Any) -> Resource:
        body = {**resource.body, "properties": {**resource.body["properties"], **properties}}
        return self._store.put(replace(resource, body=body))

    async def _remove(self, resource: Resource) -> None:
        for replica in self.replicas(resource):
            for name in replica["containers"].values():
                await self._runtime.stop(name, 0)  # one may wait for its image still
                await self._runtime.remove(name)
        self._store.delete(resource.id)
