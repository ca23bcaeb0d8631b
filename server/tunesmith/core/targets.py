"""Where things run. A target is data: `local` and `azure` differ in one CloudProfile only."""

from __future__ import annotations

from collections.abc import Mapping
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


def azure_profile(subscription_id: str, resource_group: str, location: str) -> CloudProfile:
    """Return the public Azure cloud's profile for one subscription and group.

    Source: the public cloud's fixed endpoints, https://learn.microsoft.com/azure/ (read 2026-11).
    """
    return CloudProfile(
        arm_url="https://management.azure.com",
        authority_url="https://login.microsoftonline.com",
        arm_scope="https://management.azure.com/.default",
        files_url="https://{account}.file.core.windows.net",
        portal_url="https://portal.azure.com",
        ca_file=None,
        credential="default",
        tenant_id=None,
        subscription_id=subscription_id,
        resource_group=resource_group,
        location=location,
        endpoint_scheme="https",
        poll_interval_s=2.0,
    )


def azurebox_profile(facts: Mapping[str, str], resource_group: str) -> CloudProfile:
    """Return the profile of a running azurebox. `facts`: the line it prints when it is ready."""
    arm = facts["arm_url"].rstrip("/")
    return CloudProfile(
        arm_url=arm,
        authority_url=facts["login_url"].rstrip("/"),
        arm_scope="https://management.azure.com/.default",
        files_url=facts["files_url"].rstrip("/"),
        portal_url=facts["pages_url"].rstrip("/"),
        ca_file=facts["ca_file"],
        credential="azurebox",
        tenant_id=facts["tenant_id"],
        subscription_id=facts["subscription_id"],
        resource_group=resource_group,
        location="local",
        endpoint_scheme="http",
        poll_interval_s=0.2,
    )


def portal_link(cloud: CloudProfile, resource_id: str) -> str:
    """Return the page that shows a resource or group."""
    if cloud.credential == "azurebox":
        return f"{cloud.portal_url}{resource_id}"
    return f"{cloud.portal_url}/#resource{resource_id}"
