"""What a run's state is: a pure function of its request, its run.json, its attempts and ARM's view.

Every file may be missing or old, ARM may have forgotten an execution, and any process may have been
killed without a word. The rule that follows: "running" is said only while ARM holds the newest
execution to be alive, so no SIGKILL leaves a run running for ever. And an end is said only once
nothing of the attempt lives any more: its log is whole then, and a resume meets nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tunesmith.core.json_values import mapping, number, whole
from tunesmith.core.messages import text
from tunesmith.core.ports import Execution
from tunesmith.core.runs import Run, RunState

STOP_GRACE = timedelta(seconds=45)
"""From ARM's "Stopped" until the trainer's checkpoint must be written: the service's 30 s between
SIGTERM and SIGKILL, and some for a slow share."""

EXIT_STOPPED = 75
"""Exit code of a trainer that stopped with a checkpoint to go on from."""

EXIT_STOPPED_BEFORE = 143
"""Exit code of a trainer that was stopped before it had a checkpoint."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """attempts/<n>.json and attempts/<n>.end.json. `end`: None while it runs or after SIGKILL."""

    number: int
    start: Mapping[str, Any]
    end: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class RunFiles:
    """What a run's folder says, files as parsed JSON; None for one missing or unreadable."""

    id: str
    request: Mapping[str, Any] | None
    run: Mapping[str, Any] | None
    attempts: tuple[Attempt, ...]


def run_of(files: RunFiles, executions: Sequence[Execution], now: datetime) -> Run:
    """Put a run together. `executions`: the job's, in any order; other runs' are not looked at."""
    mine = sorted(
        (e for e in executions if is_execution_of(e, files.id)), key=lambda e: attempt_of(e)
    )
    state, reason = _state(files, mine[-1] if mine else None, now)
    request, run = files.request or {}, files.run or {}
    metrics = mapping(run.get("metrics"))
    artifact = mapping(run.get("artifact"))
    base = mapping(run.get("base_model"))
    names = [str(a.start.get("execution", "")) for a in files.attempts]
    names += [e.name for e in mine]
    return Run(
        id=files.id,
        state=state,
        reason=reason,
        model=str(base.get("id") or request.get("model") or ""),
        recipe=str(run.get("recipe") or request.get("recipe") or "chat"),
        method=str(run.get("method") or ""),
        step=whole(run.get("step")),
        steps=whole(run.get("steps")),
        loss=number(metrics.get("loss")),
        eval_loss=number(metrics.get("eval_loss")),
        created_at=str(request.get("created_at") or ""),
        started_at=_started(files, mine),
        ended_at=_ended(files, mine) if is_final(state) else "",
        executions=tuple(dict.fromkeys(n for n in names if n)),
        artifact=f"runs/{files.id}/{artifact['path']}" if artifact.get("path") else "",
        can_resume=state in ("stopped", "interrupted", "failed"),
    )


def is_final(state: RunState) -> bool:
    """Whether nothing goes on any more unless a user resumes it."""
    return state in ("stopped", "interrupted", "failed", "succeeded")


def is_execution_of(execution: Execution, run_id: str, task_dir: str = "") -> bool:
    """Whether the execution works in a task folder of the run (default: trains it).

    One that was started by hand names no run; its launcher makes one of the execution's name.
    """
    trains = f"runs/{run_id}"
    return execution.env.get("TUNESMITH_RUN_ID", execution.name) == run_id and (
        execution.env.get("TUNESMITH_TASK_DIR", trains) == (task_dir or trains)
    )


def attempt_of(execution: Execution) -> int:
    """Return the attempt's number that the execution was started with; by hand it is the first."""
    digits = execution.env.get("TUNESMITH_ATTEMPT", "")
    return int(digits) if digits.isdecimal() else 1


def newest_attempt(files: RunFiles, executions: Sequence[Execution]) -> int:
    """Return the highest attempt number that anyone has used for this run, 0 for none."""
    numbers = [a.number for a in files.attempts]
    numbers += [attempt_of(e) for e in executions if is_execution_of(e, files.id)]
    return max(numbers, default=0)


def _state(files: RunFiles, execution: Execution | None, now: datetime) -> tuple[RunState, str]:
    current = attempt_of(execution) if execution else newest_attempt(files, ())
    attempt = next((a for a in files.attempts if a.number == current), None)
    run = files.run if files.run and whole(files.run.get("attempt")) in (0, current) else None

    if run and run.get("state") in ("succeeded", "failed", "stopped"):
        if execution and attempt and attempt.end is None:  # the launcher has the log's last words
            if not execution.is_over:
                return "running", ""
            if run["state"] == "stopped" and _within(execution.ended_at, now, STOP_GRACE):
                return "stopping", text("run.reason.stopping")
        end = attempt.end if attempt else None
        code = whole(end.get("exit_code")) if end else 0
        return _told_by_trainer(run, code)
    if attempt and attempt.end is not None:
        return _told_by_launcher(attempt.end, run)
    if execution is None:
        if attempt or files.run:
            return "interrupted", text("run.reason.gone")
        return "created", text("run.reason.created")
    if not execution.is_over:
        if attempt or run:
            return "running", ""
        return "queued", ""
    if execution.status == "Stopped":
        if not attempt:
            return "stopped", text("run.reason.stoppedBeforeStart")
        if _within(execution.ended_at, now, STOP_GRACE):
            return "stopping", text("run.reason.stopping")
        return "interrupted", text("run.reason.killedWhileStopping")
    if attempt or run:
        return "interrupted", text("run.reason.killed")
    return "failed", text("run.reason.neverStarted", status=execution.status)


def _told_by_trainer(run: Mapping[str, Any], exit_code: int) -> tuple[RunState, str]:
    match run["state"]:
        case "succeeded":
            return "succeeded", ""
        case "stopped" if exit_code == EXIT_STOPPED_BEFORE:
            return "stopped", text("run.reason.stoppedBeforeCheckpoint")
        case "stopped":
            return "stopped", text("run.reason.stopped", step=whole(run.get("step")))
        case _:
            error = mapping(run.get("error"))
            return "failed", str(error.get("message") or text("run.reason.failed"))


def _told_by_launcher(
    end: Mapping[str, Any], run: Mapping[str, Any] | None
) -> tuple[RunState, str]:
    code = whole(end.get("exit_code"))
    if code == EXIT_STOPPED_BEFORE and run:
        return "stopped", text("run.reason.stoppedBeforeCheckpoint")
    if code == EXIT_STOPPED:
        return "stopped", text("run.reason.stopped", step=whole((run or {}).get("step")))
    if run:  # it says "running", and the launcher saw its process end
        return "interrupted", text("run.reason.killed")
    if code == 0:
        return "failed", text("run.reason.noResult")
    if code == EXIT_STOPPED_BEFORE:
        return "stopped", text("run.reason.stoppedBeforeTraining")
    return "failed", text("run.reason.commandFailed", code=code)


def _started(files: RunFiles, executions: Sequence[Execution]) -> str:
    if files.run and files.run.get("started_at"):
        return str(files.run["started_at"])
    times = [str(a.start.get("started_at") or "") for a in files.attempts]
    times += [e.started_at for e in executions]
    return min((t for t in times if t), default="")


def _ended(files: RunFiles, executions: Sequence[Execution]) -> str:
    times = [str((a.end or {}).get("ended_at") or "") for a in files.attempts]
    if files.run:
        times.append(str(files.run.get("ended_at") or ""))
    return max((t for t in times if t), default="") or max(
        (e.ended_at for e in executions), default=""
    )


def _within(time: str, now: datetime, span: timedelta) -> bool:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return False
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=now.tzinfo)
    return now - moment <= span
