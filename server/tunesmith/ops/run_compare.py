"""How base and tuned model are compared: one more execution, whose answer sheet is read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import tunesmith
from tunesmith.core.errors import RunError
from tunesmith.core.json_values import at, items, mapping, whole, words
from tunesmith.core.messages import text
from tunesmith.core.plan import Plan, PlanRow
from tunesmith.core.run_request import compare_commands, request_json
from tunesmith.core.run_state import RunFiles, is_final, run_of
from tunesmith.core.runs import Answer, Comparison, Run
from tunesmith.ops.run_folder import executions_of, read_json, read_run_files
from tunesmith.ops.run_follow import follow
from tunesmith.ops.run_start import commands_of, last_attempt, start_attempt
from tunesmith.ops.session import Session


@dataclass(frozen=True, slots=True)
class PreparedComparison:
    """A comparison ready to run; `sheet` when the answers are there already."""

    plan: Plan
    run: Run
    sheet: Mapping[str, Any] | None


async def plan_compare(session: Session, run: Run, *, again: bool) -> PreparedComparison:
    """Say what comparing this run would do.

    Raises: RunError("run.notComparable") for a run that made no model.
    """
    if run.state != "succeeded":
        raise RunError("run.notComparable", run=run.id, state=text(f"run.state.{run.state}"))
    files = await session.files()
    sheet = None if again else await read_json(files, f"{_task_dir(run.id)}/compare.json")
    if sheet:
        row = PlanRow("keep", run.id, text("run.compare.known"))
    else:
        row = PlanRow("run", run.id, text("run.compare.ask"))
    is_local = session.target.name == "local"
    cost = text("infra.cost.local" if is_local else "run.plan.costAzure")
    return PreparedComparison(Plan(text("run.compare.title", run=run.id), (row,), cost), run, sheet)


async def apply_compare(session: Session, prepared: PreparedComparison) -> Comparison:
    """Run the comparison unless its answers are there, follow its log, read the answers.

    Cancelled, the comparison goes on in its execution; comparing again joins it.
    Raises: RunError("run.compareFailed").
    """
    run_id = prepared.run.id
    sheet = prepared.sheet
    if sheet is None:
        await _ask(session, run_id)
        sheet = await read_json(await session.files(), f"{_task_dir(run_id)}/compare.json")
        if sheet is None:
            raise RunError("run.compareFailed", run=run_id, reason=text("run.compare.noSheet"))
    return _comparison(prepared.plan, run_id, sheet)


async def _ask(session: Session, run_id: str) -> None:
    files, task_dir = await session.files(), _task_dir(run_id)
    job = session.provisioned().job
    listed = executions_of(await session.runner().executions(job), run_id, task_dir)
    attempt = await last_attempt(files, task_dir)
    if not any(not e.is_over for e in listed):
        attempt += 1
        request = mapping(await read_json(files, f"runs/{run_id}/request.json"))
        body = request_json(
            run_id=run_id,
            task="compare",
            created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            project=session.project.name,
            commands=compare_commands(commands_of(session)),
            model=words(request.get("model")),
            dataset=words(at(request, "dataset", "path")),
            dataset_sha256=words(at(request, "dataset", "sha256")),
            dataset_rows=whole(at(request, "dataset", "rows")),
            version=tunesmith.__version__,
        )
        await files.make_directory(task_dir)
        await files.delete(f"{task_dir}/compare.json")
        await files.write(f"{task_dir}/request.json", body)
    cursor = await files.size(f"{task_dir}/log.txt") or 0
    execution = await start_attempt(session, run_id, task_dir, attempt)
    await follow(
        session,
        f"{task_dir}/log.txt",
        cursor,
        lambda: _state(session, run_id, execution, attempt),
    )
    end = await _end(session, run_id, attempt)
    if end != 0:
        raise RunError("run.compareFailed", run=run_id, reason=text("run.compare.exit", code=end))


async def _state(session: Session, run_id: str, execution: str, attempt: int) -> Run:
    """Return the comparison's own state in a run's words, for following its log."""
    files = await session.files()
    listed = await session.runner().executions(session.provisioned().job)
    read = await read_run_files(files, run_id, _task_dir(run_id))
    mine = [e for e in listed if e.name == execution]
    run = run_of(RunFiles(run_id, read.request, None, read.attempts), [], datetime.now(UTC))
    done = next((a for a in read.attempts if a.number == attempt), None)
    is_over = (done is not None and done.end is not None) or (bool(mine) and mine[0].is_over)
    state = "succeeded" if is_over else "running" if done else "queued"
    return _replaced(run, state, execution)


async def _end(session: Session, run_id: str, attempt: int) -> int | None:
    """Return the comparison's exit code; None when it died without a word."""
    files = await session.files()
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        end = await read_json(files, f"{_task_dir(run_id)}/attempts/{attempt}.end.json")
        if end is not None:
            return whole(end.get("exit_code"))
        await asyncio.sleep(0.2)
    return None


def _replaced(run: Run, state: str, execution: str) -> Run:
    from dataclasses import replace

    changed = replace(run, state=cast(Any, state), executions=(execution,))
    assert is_final(changed.state) == (state == "succeeded")
    return changed


def _task_dir(run_id: str) -> str:
    return f"runs/{run_id}/compare"


def _comparison(plan: Plan, run_id: str, sheet: Mapping[str, Any]) -> Comparison:
    return Comparison(
        plan=plan,
        applied=True,
        run_id=run_id,
        facts_total=whole(at(sheet, "facts", "total")),
        facts_base=whole(at(sheet, "facts", "base")),
        facts_tuned=whole(at(sheet, "facts", "tuned")),
        general_total=whole(at(sheet, "general", "total")),
        general_base=whole(at(sheet, "general", "base")),
        general_tuned=whole(at(sheet, "general", "tuned")),
        answers=tuple(_answer(mapping(a)) for a in items(sheet.get("answers"))),
        details=dict(mapping(sheet.get("settings"))),
    )


def _answer(body: Mapping[str, Any]) -> Answer:
    return Answer(
        id=words(body.get("id")),
        kind="general" if body.get("kind") == "general" else "fact",
        question=words(body.get("question")),
        expected=tuple(words(e) for e in items(body.get("expected"))),
        base=words(body.get("base")),
        base_right=bool(body.get("base_right")),
        tuned=words(body.get("tuned")),
        tuned_right=bool(body.get("tuned_right")),
    )
