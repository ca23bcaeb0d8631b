"""Every combination of what a run leaves behind, and the one state it means."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from tunesmith.core.ports import Execution
from tunesmith.core.run_state import Attempt, RunFiles, is_final, newest_attempt, run_of

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
LONG_AGO = (NOW - timedelta(minutes=10)).isoformat()
JUST_NOW = (NOW - timedelta(seconds=5)).isoformat()
REQUEST = {"v": 1, "run_id": "r", "created_at": "2026-11-25T11:00:00Z", "model": "tiny"}


def execution(status, *, attempt=1, ended=LONG_AGO, task="runs/r", run="r", name=""):
    env = {
        "TUNESMITH_RUN_ID": run,
        "TUNESMITH_TASK_DIR": task,
        "TUNESMITH_ATTEMPT": str(attempt),
    }
    over = status not in ("Running", "Processing", "Unknown")
    return Execution(name or f"job-{attempt}", status, LONG_AGO, ended if over else "", env)


def started(number=1, end=None):
    return Attempt(number, {"v": 1, "attempt": number, "execution": f"job-{number}"}, end)


def ended(code, number=1, signal=None):
    return started(number, {"v": 1, "exit_code": code, "ended_at": LONG_AGO, "signal": signal})


def run_json(state, attempt=1, **more):
    return {"v": 1, "run_id": "r", "state": state, "attempt": attempt, "step": 12, **more}


def state(*, run=None, attempts=(), executions=(), request=REQUEST):
    return run_of(RunFiles("r", request, run, tuple(attempts)), executions, NOW)


CASES = {
    # name: (run.json, attempts, executions) -> state
    "nothing but a request": (None, [], [], "created"),
    "ARM took it, nothing printed": (None, [], [execution("Running")], "queued"),
    "ARM is still thinking": (None, [], [execution("Processing")], "queued"),
    "launcher began": (None, [started()], [execution("Running")], "running"),
    "trainer began": (run_json("running"), [started()], [execution("Running")], "running"),
    "ARM does not know for sure": (
        run_json("running"), [started()], [execution("Unknown")], "running"),
    "done": (run_json("succeeded"), [ended(0)], [execution("Succeeded")], "succeeded"),
    "done, ARM lags": (run_json("succeeded"), [ended(0)], [execution("Running")], "succeeded"),
    "done, ARM forgot": (run_json("succeeded"), [ended(0)], [], "succeeded"),
    "done, launcher killed after": (
        run_json("succeeded"), [started()], [execution("Failed")], "succeeded"),
    "done, the launcher has last words to say": (
        run_json("succeeded"), [started()], [execution("Running")], "running"),
    "stopped, the launcher has last words to say": (
        run_json("stopped"), [started()], [execution("Stopped", ended=JUST_NOW)], "stopping"),
    "trainer failed": (run_json("failed"), [ended(1)], [execution("Failed")], "failed"),
    "stopped with a checkpoint": (
        run_json("stopped"), [ended(75)], [execution("Stopped")], "stopped"),
    "timed out with a checkpoint": (
        run_json("stopped"), [ended(75)], [execution("Failed")], "stopped"),
    "exit 75 and a run.json of the moment before": (
        run_json("running"), [ended(75)], [execution("Failed")], "stopped"),
    "pip install failed": (None, [ended(1)], [execution("Failed")], "failed"),
    "commands ended well without a trainer": (
        None, [ended(0)], [execution("Succeeded")], "failed"),
    "stopped while packages were installed": (
        None, [ended(143, signal="SIGTERM")], [execution("Stopped")], "stopped"),
    "trainer got SIGKILL, launcher saw it": (
        run_json("running"), [ended(137, signal="SIGKILL")], [execution("Failed")], "interrupted"),
    "launcher got SIGKILL": (
        run_json("running"), [started()], [execution("Failed")], "interrupted"),
    "launcher got SIGKILL before training": (
        None, [started()], [execution("Failed")], "interrupted"),
    "container died well behaved but wordless": (
        run_json("running"), [started()], [execution("Succeeded")], "interrupted"),
    "all gone, run.json says running": (run_json("running"), [started()], [], "interrupted"),
    "history gone, only an attempt": (None, [started()], [], "interrupted"),
    "node lost": (run_json("running"), [started()], [execution("Degraded")], "interrupted"),
    "image never came": (None, [], [execution("Failed")], "failed"),
    "stopped in the queue": (None, [], [execution("Stopped")], "stopped"),
    "stop asked, checkpoint being written": (
        run_json("running"), [started()], [execution("Stopped", ended=JUST_NOW)], "stopping"),
    "stop asked, no end in sight": (
        run_json("running"), [started()], [execution("Stopped", ended=LONG_AGO)], "interrupted"),
    "stopped, ARM gives no time": (
        run_json("running"), [started()], [execution("Stopped", ended="")], "interrupted"),
    # the second attempt decides; what the first left behind does not
    "resume queued after a stop": (
        run_json("stopped"), [ended(75)], [execution("Stopped"), execution("Running", attempt=2)],
        "queued"),
    "resume running": (
        run_json("running", 2), [ended(75), started(2)],
        [execution("Stopped"), execution("Running", attempt=2)], "running"),
    "resume running, run.json still the first's": (
        run_json("stopped"), [ended(75), started(2)],
        [execution("Stopped"), execution("Running", attempt=2)], "running"),
    "resume killed before its trainer wrote": (
        run_json("stopped"), [ended(75), started(2)],
        [execution("Stopped"), execution("Failed", attempt=2)], "interrupted"),
    "resume done": (
        run_json("succeeded", 2), [ended(75), ended(0, 2)],
        [execution("Stopped"), execution("Succeeded", attempt=2)], "succeeded"),
    # others' executions are not this run's
    "a comparison runs": (
        run_json("succeeded"), [ended(0)],
        [execution("Succeeded"), execution("Running", task="runs/r/compare")], "succeeded"),
    "another run runs": (
        run_json("running"), [started()], [execution("Running", run="other", task="runs/other")],
        "interrupted"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_state_of_a_run(name):
    run, attempts, executions, expected = CASES[name]
    assert state(run=run, attempts=attempts, executions=executions).state == expected


def test_nothing_runs_for_ever_once_its_execution_is_over():
    """Whatever files a SIGKILL left, in all combinations: no state of work while ARM says over."""
    runs = [None, {}, *(run_json(s) for s in ("running", "succeeded", "failed", "stopped", "odd"))]
    attempts = [
        [],
        [started()],
        [Attempt(1, {}, None)],
        *([ended(c)] for c in (0, 1, 75, 137, 143)),
    ]
    over = ["Stopped", "Degraded", "Failed", "Succeeded"]
    for run, tries, status in itertools.product(runs, attempts, over):
        found = state(run=run, attempts=tries, executions=[execution(status)])
        assert is_final(found.state), (run, tries, status, found.state)


def test_an_execution_started_by_hand_is_the_run_of_its_name():
    """It names no run, no folder and no attempt: its launcher made runs/<execution name>."""
    by_hand = Execution("job-abc", "Running", LONG_AGO, "", {"COMMANDS": "[]"})
    files = RunFiles("job-abc", REQUEST, run_json("running"), (started(),))
    assert run_of(files, [by_hand], NOW).state == "running"
    assert newest_attempt(files, [by_hand]) == 1
    other = RunFiles("job-xyz", REQUEST, run_json("running"), (started(),))
    assert run_of(other, [by_hand], NOW).state == "interrupted"


def test_only_living_executions_make_a_run_alive():
    runs = [None, *(run_json(s) for s in ("running", "succeeded", "failed", "stopped"))]
    for run, tries in itertools.product(runs, [[], [started()], [ended(0)], [ended(137)]]):
        assert state(run=run, attempts=tries).state not in ("queued", "running", "stopping")


def test_order_of_executions_does_not_matter():
    both = [execution("Stopped"), execution("Running", attempt=2)]
    for order in itertools.permutations(both):
        assert state(run=run_json("stopped"), attempts=[ended(75)], executions=order).state == (
            "queued"
        )


def test_unreadable_files_count_as_missing():
    found = state(request=None, run={"state": 7, "metrics": [], "step": "x"}, attempts=[started()])
    assert found.state == "interrupted"
    assert (found.step, found.loss, found.model) == (0, None, "")


def test_details_come_from_the_files():
    run = run_json(
        "succeeded",
        steps=60,
        started_at="2026-11-25T11:01:00Z",
        ended_at="2026-11-25T11:55:00Z",
        method="lora",
        metrics={"loss": 0.5, "eval_loss": 0.75},
        base_model={"id": "owner/tiny", "path": "model-cache/tiny"},
        artifact={"kind": "peft", "path": "adapter"},
    )
    found = state(run=run, attempts=[ended(0)], executions=[execution("Succeeded", name="job-1")])
    assert found.artifact == "runs/r/adapter"
    assert (found.model, found.method, found.steps) == ("owner/tiny", "lora", 60)
    assert (found.loss, found.eval_loss) == (0.5, 0.75)
    assert found.executions == ("job-1",)
    assert found.ended_at == "2026-11-25T11:55:00Z"
    assert not found.can_resume


@pytest.mark.parametrize("name", CASES)
def test_what_did_not_succeed_can_be_resumed_once_it_has_ended(name):
    run, attempts, executions, expected = CASES[name]
    found = state(run=run, attempts=attempts, executions=executions)
    assert found.can_resume == (expected in ("stopped", "interrupted", "failed"))
    assert bool(found.ended_at) <= is_final(found.state)


def test_next_attempt_counts_files_and_executions():
    files = RunFiles("r", REQUEST, None, (ended(75), started(3)))
    assert newest_attempt(files, [execution("Running", attempt=4)]) == 4
    assert newest_attempt(files, [execution("Running", attempt=9, run="other")]) == 3
    assert newest_attempt(RunFiles("r", None, None, ()), []) == 0


@pytest.mark.parametrize("told", ["stopped", "running"])
def test_a_run_stopped_before_its_first_checkpoint_claims_none(told):
    run = state(run=run_json(told), attempts=[ended(143)], executions=[execution("Stopped")])
    assert run.state == "stopped"
    assert "before its first checkpoint" in run.reason
    assert "anew" in run.reason
