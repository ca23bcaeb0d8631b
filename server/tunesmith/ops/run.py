"""Operations on runs: start, list, show, logs, stop, resume, compare."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tunesmith.core.errors import RunError
from tunesmith.core.messages import text
from tunesmith.core.plan import Plan, PlanRow
from tunesmith.core.reporter import LogLine
from tunesmith.core.run_request import new_run_id
from tunesmith.core.run_state import is_final, newest_attempt
from tunesmith.core.runs import Comparison, LogPage, Run, RunList, RunStarted
from tunesmith.ops.registry import ProjectParams, arg, operation

if TYPE_CHECKING:
    from tunesmith.core.ports import Files
    from tunesmith.core.sync import SyncResult
    from tunesmith.ops.context import Context
    from tunesmith.ops.run_start import FrozenInputs
    from tunesmith.ops.session import Session

_CHECKPOINT = re.compile(r"checkpoint-\d+")


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
    from tunesmith.ops import run_start
    from tunesmith.ops.pushing import apply_push, prepare_push, shown
    from tunesmith.ops.run_folder import checked_id, read_run
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        files = await session.files()
        run_id = checked_id(p.run) if p.run else new_run_id(datetime.now(UTC))
        is_known = bool(p.run) and await files.exists(f"runs/{run_id}/request.json")
        if is_known:
            plan = _known_plan(run_id)
            if p.dry_run:
                return RunStarted(plan, False, await read_run(session, run_id))
        else:
            frozen = run_start.prepare_inputs(session.project)
            commands = run_start.commands_of(session)
            push = await prepare_push(session)
            plan = _start_plan(session, p.run, frozen, commands, shown(push))
            if p.dry_run:
                return RunStarted(plan, False, None)
            await apply_push(files, push, ctx.reporter)
            await run_start.make_run(session, run_id, frozen)
        run = await read_run(session, run_id)
        if run.state == "created":
            await run_start.start_attempt(session, run_id, f"runs/{run_id}", 1)
            run = await read_run(session, run_id)
        return RunStarted(plan, True, run)


@operation("run/list", ProjectParams, RunList)
async def list_runs(ctx: Context, p: ProjectParams) -> RunList:
    """List this project's runs, newest first."""
    from tunesmith.ops.run_folder import read_runs
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        return RunList(await read_runs(session))


@operation("run/show", OneRun, Run)
async def show(ctx: Context, p: OneRun) -> Run:
    """Show one run."""
    from tunesmith.ops.run_folder import pick_run, read_run
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        return await read_run(session, await pick_run(session, p.run))


@operation("run/logs", Logs, LogPage, long=True, still_running="running.run")
async def logs(ctx: Context, p: Logs) -> LogPage:
    """Show a run's log, live while it runs and whole after it ended."""
    from tunesmith.ops.run_folder import pick_run, read_run
    from tunesmith.ops.run_follow import follow, read_lines
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        run_id = await pick_run(session, p.run)
        path = f"runs/{run_id}/log.txt"
        run = await read_run(session, run_id)
        files = await session.files()
        lines, cursor = list[str](), p.cursor
        if not p.follow or p.tail is not None:
            is_over = is_final(run.state)
            lines, cursor = await read_lines(files, path, cursor, p.tail, is_over=is_over)
            if not p.follow:
                return LogPage(run, tuple(lines), cursor, at_end=is_over)
            for number, line in enumerate(lines):
                ctx.reporter.log(LogLine(number, line))
        run, cursor = await follow(
            session, path, cursor, lambda: read_run(session, run_id), len(lines)
        )
        return LogPage(run, (), cursor, at_end=True)


@operation("run/stop", OneRun, Run, long=True, still_running="running.stop")
async def stop(ctx: Context, p: OneRun) -> Run:
    """Stop a run; it saves a checkpoint first and can be resumed."""
    from tunesmith.ops.run_folder import pick_run, read_run
    from tunesmith.ops.run_stop import stop_run
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        return await stop_run(session, await read_run(session, await pick_run(session, p.run)))


@operation("run/resume", Resume, RunStarted, long=True, confirm=True, still_running="running.run")
async def resume(ctx: Context, p: Resume) -> RunStarted:
    """Go on with a run from its last valid checkpoint."""
    from tunesmith.ops import run_start
    from tunesmith.ops.run_folder import pick_run, read_run, read_run_files
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        run_id = await pick_run(session, p.run)
        run = await read_run(session, run_id)
        files, task_dir = await session.files(), f"runs/{run_id}"
        if not run.can_resume:
            raise RunError("run.notResumable", run=run_id, state=text(f"run.state.{run.state}"))
        listed = await session.runner().executions(session.provisioned().job)
        used = newest_attempt(await read_run_files(files, run_id), listed)
        attempt = used + 1
        plan = await _resume_plan(files, run, attempt)
        if p.dry_run:
            return RunStarted(plan, False, run)
        await run_start.start_attempt(session, run_id, task_dir, attempt)
        return RunStarted(plan, True, await read_run(session, run_id))


@operation(
    "run/compare", Compare, Comparison, long=True, confirm=True, still_running="running.compare"
)
async def compare(ctx: Context, p: Compare) -> Comparison:
    """Ask base and tuned model questions that were not in training, side by side."""
    from tunesmith.ops.run_compare import apply_compare, plan_compare
    from tunesmith.ops.run_folder import pick_run, read_run
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        run = await read_run(session, await pick_run(session, p.run))
        prepared = await plan_compare(session, run, again=p.again)
        if p.dry_run:
            return Comparison(prepared.plan, False, run.id)
        return await apply_compare(session, prepared)


def _known_plan(run_id: str) -> Plan:
    row = PlanRow("keep", run_id, text("run.plan.known"))
    return Plan(text("run.plan.title", run=run_id), (row,), text("run.plan.costNone"))


def _start_plan(
    session: Session,
    run_id: str | None,
    frozen: FrozenInputs,
    commands: list[str],
    push: SyncResult,
) -> Plan:
    """`run_id` None: the id is made when the run is, so the plan cannot name it."""
    from tunesmith.ops.pushing import push_row

    rows = [
        push_row(push),
        PlanRow(
            "create",
            f"runs/{run_id or text('run.plan.newId')}",
            text("run.plan.freeze", files=len(frozen.contents), rows=frozen.dataset_rows),
        ),
        PlanRow("run", frozen.inputs.model, text("run.plan.train", command=commands[-1])),
    ]
    is_local = session.target.name == "local"
    return Plan(
        text("run.plan.title", run=run_id) if run_id else text("run.plan.titleNew"),
        tuple(rows),
        text("infra.cost.local" if is_local else "run.plan.costAzure"),
        push.plan.warnings,
    )


async def _resume_plan(files: Files, run: Run, attempt: int) -> Plan:
    names = await files.folders(f"runs/{run.id}")
    steps = [int(n.removeprefix("checkpoint-")) for n in names if _CHECKPOINT.fullmatch(n)]
    detail = text("run.plan.fromStep", step=max(steps)) if steps else text("run.plan.fromBeginning")
    row = PlanRow("run", run.id, detail)
    return Plan(
        text("run.plan.resumeTitle", run=run.id, attempt=attempt), (row,), text("run.plan.costSame")
    )
