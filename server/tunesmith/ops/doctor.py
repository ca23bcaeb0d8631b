"""The operation that looks at this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.core.doctor import DoctorReport
from tunesmith.ops.registry import operation

if TYPE_CHECKING:
    from tunesmith.ops.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Doctor:
    """Takes nothing."""


@operation("doctor", Doctor, DoctorReport)
async def doctor(ctx: Context, p: Doctor) -> DoctorReport:
    """Check this machine: Python, disk, mounts, images, the local target."""
    from tunesmith.ops.diagnosis import diagnose

    findings = await diagnose(ctx)
    return DoctorReport(findings, all(f.state != "error" for f in findings))
