"""Operations on targets: status, prepare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.core.targets import TargetStatus
from tunesmith.ops.registry import arg, operation

if TYPE_CHECKING:
    from tunesmith.ops.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTarget:
    """Names one target."""

    target: str = arg("the target's name", default="local", positional=True)


@operation("target/status", OneTarget, TargetStatus)
async def status(ctx: Context, p: OneTarget) -> TargetStatus:
    """Show whether the target is reachable and its images are there."""
    from tunesmith.ops.local_target import local_status, only_local

    only_local(p.target)
    return await local_status(ctx)


@operation("target/prepare", OneTarget, TargetStatus, long=True, still_running="running.nothing")
async def prepare(ctx: Context, p: OneTarget) -> TargetStatus:
    """Start the local target and fetch its images, saying first how much is downloaded."""
    from tunesmith.ops.local_target import only_local, prepare_local

    only_local(p.target)
    return await prepare_local(ctx)
