"""Operations on runs: start, list, show, logs, stop, resume, compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.core.runs import Comparison, LogPage, Run, RunList, RunStarted
from tunesmith.ops.registry import ProjectParams, arg, operation

if TYPE_CHECKING:
    from tunesmith.ops.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(ProjectParams):
    """A start repeated with the same `run` never makes a second run."""

    run: str | None = arg("id for the run (default: made from the date)", default=None)
    dry_run: bool = arg("only show the plan", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRun(ProjectParams):
    """Names one run."""

    run: str | None = arg("run id (default: the newest)", default=None, positional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(OneRun):
    """Go on from the last valid checkpoint."""

    dry_run: bool = arg("only show the plan", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs(OneRun):
    """Read a log from a cursor; with follow, until the run ends (lines go to the reporter)."""

    follow: bool = arg("stay until the run ends", default=False, short="-f")
    cursor: int = arg("byte offset to read from", default=0)
    tail: int | None = arg("only the last N lines", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare(OneRun):
    """Ask base and tuned model the held-out questions."""

    again: bool = arg("ask again although an answer sheet is there", default=False)
    dry_run: bool = arg("only show the plan", default=False)


@operation("run/start", Start, RunStarted, long=True, confirm=True, still_running="running.run")
async def start(ctx: Context, p: Start) -> RunStarted:
    """Push what changed, freeze the inputs and start fine-tuning."""
    raise NotImplementedError


@operation("run/list", ProjectParams, RunList)
async def list_runs(ctx: Context, p: ProjectParams) -> RunList:
    """List this project's runs, newest first."""
    raise NotImplementedError


@operation("run/show", OneRun, Run)
async def show(ctx: Context, p: OneRun) -> Run:
    """Show one run."""
    raise NotImplementedError


@operation("run/logs", Logs, LogPage, long=True, still_running="running.run")
async def logs(ctx: Context, p: Logs) -> LogPage:
    """Show a run's log, live while it runs and whole after it ended."""
    raise NotImplementedError


@operation("run/stop", OneRun, Run, long=True, still_running="running.stop")
async def stop(ctx: Context, p: OneRun) -> Run:
    """Stop a run; it saves a checkpoint first and can be resumed."""
    raise NotImplementedError


@operation("run/resume", Resume, RunStarted, long=True, confirm=True, still_running="running.run")
async def resume(ctx: Context, p: Resume) -> RunStarted:
    """Go on with a run from its last valid checkpoint."""
    raise NotImplementedError


@operation(
    "run/compare", Compare, Comparison, long=True, confirm=True, still_running="running.compare"
)
async def compare(ctx: Context, p: Compare) -> Comparison:
    """Ask base and tuned model questions that were not in training, side by side."""
    raise NotImplementedError
