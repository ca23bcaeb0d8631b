"""Operations on the file share: status, push, pull."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.core.sync import SyncResult
from tunesmith.ops.registry import ProjectParams, arg, operation

if TYPE_CHECKING:
    from tunesmith.ops.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Push(ProjectParams):
    """Send what changed, or with dry_run only list it."""

    dry_run: bool = arg("only show the plan", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull(ProjectParams):
    """Bring results here; `run` limits it to one run's folder."""

    run: str | None = arg("run id (default: the newest)", default=None, positional=True)
    dry_run: bool = arg("only show the plan", default=False)


@operation("share/status", ProjectParams, SyncResult)
async def status(ctx: Context, p: ProjectParams) -> SyncResult:
    """Show what differs between the workspace and the share."""
    raise NotImplementedError


@operation("share/push", Push, SyncResult, long=True, confirm=True, still_running="running.nothing")
async def push(ctx: Context, p: Push) -> SyncResult:
    """Send the workspace to the share: what changed, verified on the far side."""
    raise NotImplementedError


@operation("share/pull", Pull, SyncResult, long=True, confirm=True, still_running="running.nothing")
async def pull(ctx: Context, p: Pull) -> SyncResult:
    """Bring a run's results from the share into the workspace."""
    raise NotImplementedError
