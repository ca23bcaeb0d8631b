"""What `doctor` found out about this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One check; `fix` is the one command that mends it, empty when it is fine."""

    name: str
    state: Literal["ok", "warning", "error"]
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """Every check, in a fixed order. `healthy` when none is an error."""

    findings: tuple[Finding, ...]
    healthy: bool
