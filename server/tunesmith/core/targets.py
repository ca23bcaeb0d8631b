"""Where things run. A target is data: `local` and `azure` differ in one CloudProfile and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class CloudProfile:
    """How to reach one cloud. Holds no secret: credentials are made from it when needed.

    `arm_url`, `authority_url`: https roots without a trailing slash. `files_url`: template with
    {account}, such as "https://{account}.file.core.windows.net". `ca_file`: PEM to trust beside the
    system's, or None. `endpoint_scheme`: scheme that an app's host name is reached by.
    `poll_interval_s`: seconds between polls of a long-running operation that names no Retry-After.
    """

    arm_url: str
    authority_url: str
    arm_scope: str
    files_url: str
    portal_url: str
    ca_file: str | None
    credential: Literal["default", "azurebox"]
    tenant_id: str | None
    subscription_id: str
    resource_group: str
    location: str
    endpoint_scheme: Literal["http", "https"]
    poll_interval_s: float


@dataclass(frozen=True, slots=True)
class Target:
    """A named place where runs go. `kind` aml comes later."""

    name: str
    kind: Literal["aca"]
    cloud: CloudProfile


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """What `target status` and `target prepare` answer."""

    name: str
    state: Literal["ready", "stopped", "unprepared", "unreachable"]
    detail: str
    arm_url: str
    images: tuple[ImageStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """An image that runs here. `download_bytes` is 0 when it is already there, None if unknown."""

    name: str
    ready: bool
    path: str
    download_bytes: int | None = None
