"""Provisioning: what the Bicep template makes, and what of it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tunesmith.core.plan import Plan


@dataclass(frozen=True, slots=True)
class InfraResult:
    """What `infra plan|apply|destroy` answer. `outputs` are the values of infra/*.config.json."""

    kind: str
    plan: Plan
    applied: bool
    outputs: dict[str, Any]
    portal_url: str = ""


@dataclass(frozen=True, slots=True)
class InfraResource:
    """One resource that a deployment of this project made."""

    id: str
    type: str
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class InfraStatus:
    """What `infra status` answers."""

    resource_group: str
    location: str
    exists: bool
    resources: tuple[InfraResource, ...]


def type_of(resource_id: str) -> str:
    """Return the type of a resource id, "Microsoft.App/jobs" style; "" for an id without one."""
    behind = resource_id.rpartition("/providers/")[2].split("/")
    return "/".join([behind[0], *behind[1::2]]) if "/providers/" in resource_id else ""
