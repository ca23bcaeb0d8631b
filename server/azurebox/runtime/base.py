"""What a provider asks of the runtime: containers as local processes, with shares mounted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Mount:
    """A share's folder on this machine and where the container sees it."""

    folder: Path
    path: str


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container to run. `name` is unique (the replica's name) and names its folder.

    `command` + `args` form argv, as in a pod; empty command means the image's own, which
    azurebox's images do not have. `env` holds secret values: it is never stored or logged.
    """

    name: str
    image: str
    command: Sequence[str]
    args: Sequence[str]
    env: Mapping[str, str]
    mounts: Sequence[Mount]


ContainerState = Literal["waiting", "running", "terminated"]


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """`reason` in the service's words (PullingImage, OOMKilled, ...); `exit_code` once terminated.

    Times are ISO 8601 in UTC; empty when it has not come to that.
    """

    state: ContainerState
    reason: str
    exit_code: int | None
    started_at: str
    ended_at: str
    pid: int | None


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """One step of a container's life in the service's words: PullingImage, PulledImage,
    ImagePullBackOff, ContainerStarted, ... A pull tells its progress in several PullingImage."""

    time: str
    reason: str
    message: str


class Runtime(Protocol):
    """Runs containers. They outlive azurebox: a restarted one adopts them by pid and start time."""

    async def start(self, spec: ContainerSpec) -> None:
        """Pull the image when it is missing, make the container's folder and start its process.

        Returns once it is started or known not to start; `status` tells. A name that exists
        is not started again.
        """
        ...

    def status(self, name: str) -> ContainerStatus | None:
        """Return the state now, None for an unknown name. Cheap; asked often."""
        ...

    async def wait(self, name: str) -> ContainerStatus:
        """Return when the container is terminated."""
        ...

    async def stop(self, name: str, grace_s: float = 30.0) -> None:
        """SIGTERM to the first process alone, SIGKILL to all of its group after `grace_s`."""
        ...

    def log(self, name: str, *, follow: bool, tail: int | None) -> AsyncIterator[tuple[str, str]]:
        """Yield (ISO time, line) of what the container printed, whole lines, in order."""
        ...

    def events(self, name: str) -> Sequence[ContainerEvent]:
        """Return what happened to the container, oldest first; an unknown one has no events."""
        ...

    async def remove(self, name: str) -> None:
        """Delete the container's folder; it must be terminated."""
        ...


class Ingress(Protocol):
    """The way in to apps: one plain http port on 127.0.0.1 for each, proxied to its replica."""

    async def open(self, app: str) -> int:
        """Return the app's port, the same one across restarts where it is free."""
        ...

    def route(self, app: str, upstream_port: int | None) -> None:
        """Send the app's requests to this port from now on; None answers 503 "no replica"."""
        ...

    async def close(self, app: str) -> None:
        """Free the app's port and forget it; nothing happens when it is not open."""
        ...
