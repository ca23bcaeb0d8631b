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
    force: bool = arg("what is here wins, however much is replaced or deleted", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull(ProjectParams):
    """Bring results here; `run` limits it to one run's folder."""

    run: str | None = arg("run id (default: the newest)", default=None, positional=True)
    checkpoints: bool = arg("bring the checkpoints, too", default=False)
    dry_run: bool = arg("only show the plan", default=False)


@operation("share/status", ProjectParams, SyncResult)
async def status(ctx: Context, p: ProjectParams) -> SyncResult:
    """Show what differs between the workspace and the share."""
    from tunesmith.ops.pushing import prepare_push, shown
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        return shown(await prepare_push(session))


@operation("share/push", Push, SyncResult, long=True, confirm=True, still_running="running.nothing")
async def push(ctx: Context, p: Push) -> SyncResult:
    """Send the workspace to the share: what changed, verified on the far side."""
    from tunesmith.ops.pushing import apply_push, prepare_push, shown
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        prepared = await prepare_push(session, force=p.force)
        if p.dry_run:
            return shown(prepared)
        return await apply_push(await session.files(), prepared, ctx.reporter)


@operation("share/pull", Pull, SyncResult, long=True, confirm=True, still_running="running.nothing")
async def pull(ctx: Context, p: Pull) -> SyncResult:
    """Bring a run's results from the share into the workspace."""
    from tunesmith.ops.pulling import apply_pull, plan_pull, shown_pull
    from tunesmith.ops.run_folder import pick_run
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        files, run_id = await session.files(), await pick_run(session, p.run)
        prepared = await plan_pull(
            files,
            session.project.root,
            run_id,
            target=session.target.name,
            checkpoints=p.checkpoints,
        )
        if p.dry_run:
            return shown_pull(prepared)
        return await apply_pull(files, prepared, ctx.reporter)
