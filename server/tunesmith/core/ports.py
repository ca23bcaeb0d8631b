"""The ports: what operations need of a cloud, whoever implements it (`tunesmith.azure` does).

Every method may be called concurrently. All of them raise `TargetError("target.unreachable")`,
`AuthError("auth.required" | "auth.forbidden")` and `InfraError("infra.refused")`; what else one
raises stands in its docstring. Cancelling a call stops waiting for the answer and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tunesmith.core.files_port import Files, RemoteFile

__all__ = [
    "App",
    "Deployed",
    "Deployment",
    "Execution",
    "Files",
    "Group",
    "Hosting",
    "Provisioner",
    "RemoteFile",
    "Replica",
    "ResourceChange",
    "Runner",
]


@dataclass(frozen=True, slots=True)
class Group:
    """A resource group."""

    name: str
    location: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment of a compiled template into the profile's resource group.

    `parameters`: plain values by name, none of them None; they may hold secrets and are not shown.
    """

    name: str
    template: Mapping[str, Any]
    parameters: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Deployed:
    """A finished deployment. `outputs` by the template's names, whose first letter ARM lowers."""

    name: str
    state: str
    outputs: Mapping[str, Any]
    resource_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """One line of ARM's what-if. `properties`: paths that would change, for "modify"."""

    resource_id: str
    type: str
    name: str
    change: Literal["create", "modify", "delete", "same", "ignore"]
    properties: tuple[str, ...] = ()


class Provisioner(Protocol):
    """Resource groups and template deployments of one subscription."""

    async def group(self, name: str) -> Group | None:
        """Return the resource group, None when there is none of that name."""
        ...

    async def ensure_group(self, name: str, location: str, tags: Mapping[str, str]) -> None:
        """Create the resource group; an existing one keeps its location and gets no new tags."""
        ...

    async def what_if(
        self, group: str, deployment: Deployment, *, new_in: str | None = None
    ) -> tuple[ResourceChange, ...]:
        """Ask what the deployment would change, without the group itself.

        `new_in`: the location in which the group would be made, when it does not exist.
        Raises: InfraError("infra.invalid") for a template or parameters that ARM refuses.
        """
        ...

    async def deploy(self, group: str, deployment: Deployment) -> Deployed:
        """Deploy and wait for the end. The same deployment twice changes nothing the second time.

        Raises: InfraError("infra.failed" | "infra.invalid" | "infra.quota" | "infra.conflict").
        """
        ...

    async def progress(self, group: str, name: str) -> tuple[tuple[str, str], ...]:
        """Return (resource name, state) of what a deployment has begun; () for an unknown one."""
        ...

    async def deployed(self, group: str, name: str) -> Deployed | None:
        """Return the newest deployment of that name in whatever state; None without one."""
        ...

    async def resources(self, group: str) -> tuple[Mapping[str, Any], ...]:
        """Return every resource of the group, as ARM lists it: id, name, type, location, ..."""
        ...

    async def delete_resource(self, resource_id: str, api_version: str) -> bool:
        """Delete one resource and wait for its end; False when it was not there."""
        ...

    async def delete_group(self, name: str) -> bool:
        """Delete the group with all in it and wait for its end; False when it was not there."""
        ...


ExecutionStatus = Literal[
    "Running", "Processing", "Stopped", "Degraded", "Failed", "Unknown", "Succeeded"
]


@dataclass(frozen=True, slots=True)
class Execution:
    """One start of a job as ARM tells it. Times are ISO 8601, empty when there is none."""

    name: str
    status: ExecutionStatus
    started_at: str
    ended_at: str
    env: Mapping[str, str]

    @property
    def is_over(self) -> bool:
        """Whether ARM holds it to have ended."""
        return self.status in ("Stopped", "Degraded", "Failed", "Succeeded")


@dataclass(frozen=True, slots=True)
class Replica:
    """The process side of an execution. `detail`: the service's words on what it waits for."""

    name: str
    state: str
    detail: str


class Runner(Protocol):
    """Jobs and their executions in one resource group."""

    async def job_exists(self, job: str) -> bool:
        """Return whether the job resource is there."""
        ...

    async def start(self, job: str, env: Mapping[str, str]) -> str:
        """Start one execution with `env` over the job's own; return its name once ARM accepted it.

        Raises: RunError("run.jobMissing") when the job is gone.
        """
        ...

    async def executions(self, job: str) -> tuple[Execution, ...]:
        """Return the job's executions, newest first; () when the job is gone."""
        ...

    async def stop(self, job: str, execution: str) -> None:
        """Ask an execution to end: SIGTERM to its first process. One that is over stays so."""
        ...

    async def replicas(self, job: str, execution: str) -> tuple[Replica, ...]:
        """Return the execution's replicas; () when there is none (any more)."""
        ...

    def console(self, job: str, execution: str) -> AsyncIterator[str]:
        """Yield the last 300 lines that the execution's first container has printed by now.

        Nothing when it is gone. Raises: TargetError("target.cutOff").
        """
        ...


@dataclass(frozen=True, slots=True)
class App:
    """A container app. `env` holds plain values only, never those of secrets."""

    name: str
    host: str
    state: Literal["running", "stopped", "progressing", "failed"]
    revision: str
    env: Mapping[str, str]
    detail: str = ""


class Hosting(Protocol):
    """Container apps in one resource group."""

    async def app(self, name: str) -> App | None:
        """Return the app, None when there is none of that name."""
        ...

    async def secret(self, name: str, secret: str) -> str | None:
        """Return a secret's value, for use at once, never stored. None: no app or no secret."""
        ...

    async def start(self, name: str) -> None:
        """Start a stopped app and wait until the service has accepted it."""
        ...

    async def stop(self, name: str) -> None:
        """Stop the app; its configuration stays."""
        ...
