"""An endpoint: an address that answers like the run behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tunesmith.core.plan import Plan


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The inference app. `url` has scheme and port, no trailing slash; "" when there is none."""

    name: str
    state: Literal["absent", "waiting", "starting", "healthy", "unhealthy", "stopped"]
    url: str
    run_id: str
    base_model: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class EndpointDeployed:
    """What `endpoint deploy` answers."""

    plan: Plan
    applied: bool
    endpoint: Endpoint | None


@dataclass(frozen=True, slots=True)
class EndpointLink:
    """What `endpoint open` answers: a link that signs a browser in once, within a minute."""

    url: str
    expires_in_s: int


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """What `endpoint ask` answers. `model` is the one that answered: a run id or "base"."""

    model: str
    text: str
    tokens: int
    seconds: float
