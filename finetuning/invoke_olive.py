"""Runs the Olive workflow of a run: the last command of a training job.

Started by the launcher in a run's folder, or by hand in a project folder:
`python finetuning/invoke_olive.py` makes a run of its own.
Exit codes: 0 succeeded, 75 stopped with a checkpoint, 1 failed (run.json says why), 143 stopped
before there was a checkpoint.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import warnings
from types import FrameType
from typing import Any

# Before torch and Olive are loaded: they look at these once.
os.environ["CI"] = "1"  # the only switch that stops all of Olive's telemetry
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
# The libraries' advice about each other's next versions is not the user's concern.
warnings.filterwarnings("ignore", category=FutureWarning)
warnings.filterwarnings("ignore", category=DeprecationWarning)
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
# Two spinning threads on a shared machine are slower than one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import checkpoints  # noqa: E402
import events  # noqa: E402
from problem import StopRequested, TrainingFailed, unexpected  # noqa: E402
from run_state import RunState, now  # noqa: E402
from task import Task, open_task  # noqa: E402

STOPPED_WITH_CHECKPOINT = 75
STOPPED_BEFORE = 128 + signal.SIGTERM
PR_SET_PDEATHSIG = 1  # source: prctl(2)


def main() -> int:
    """Run one training; returns the exit code."""
    _follow_launcher()
    try:
        task = open_task()
        state = RunState(task.folder, task.run_id, task.attempt)
        _end_on_signal(task, state)
        state.update()
    except TrainingFailed as e:
        events.problem(e.code, e.message, e.hint)
        return 1
    except OSError as e:
        events.problem("task.notWritten", f"The run's folder cannot be written: {e.strerror}.")
        return 1
    events.emit("state", state="running", run=task.run_id, attempt=task.attempt)
    try:
        return _train(task, state)
    except StopRequested as e:
        return _stopped(state, e.step)
    except TrainingFailed as e:
        return _failed(state, e)
    except OSError as e:
        what = f" ({e.filename})" if e.filename else ""
        return _failed(
            state,
            TrainingFailed(
                "train.notWritten",
                f"A file of the run could not be read or written: {e.strerror or e}{what}.",
                "Free space on the share (or raise its quota) and resume the run.",
            ),
        )
    except Exception as e:
        details = task.folder / f"error-{task.attempt}.txt"
        return _failed(state, unexpected("train.failed", "Training", e, details))


def _train(task: Task, state: RunState) -> int:
    events.say(f"Run {task.run_id}, attempt {task.attempt}, in {task.shown(task.folder)}.")
    import config

    run_config = config.load(task.config)
    # These take seconds to import; a wrong config is told before.
    import prepare
    import workflow

    prepared = prepare.prepare(task, run_config, state)
    result = workflow.run(run_config, prepared)
    artifact = {"kind": "peft", "path": "adapter"}
    exports = [{"kind": "olive", "path": result}] if result else []
    state.update(artifact=artifact, exports=exports)
    state.end("succeeded")
    metrics = state.value["metrics"]
    events.emit("state", state="succeeded", artifact=artifact, metrics=metrics)
    events.say(f"Done at {now()}: the adapter is in {task.shown(task.folder / 'adapter')}.")
    return 0


def _stopped(state: RunState, step: int | None) -> int:
    with contextlib.suppress(OSError):
        state.end("stopped")
    events.emit("state", state="stopped", step=step)
    if step is None:
        events.say("Stopped before the first checkpoint; resuming starts the training anew.")
        return STOPPED_BEFORE
    events.say(f"Stopped with a checkpoint at step {step}; resuming goes on after it.")
    return STOPPED_WITH_CHECKPOINT


def _failed(state: RunState, error: TrainingFailed) -> int:
    with contextlib.suppress(OSError):
        state.end("failed", error.as_json())
    events.problem(error.code, error.message, error.hint)
    events.emit("state", state="failed", code=error.code)
    return 1


def _last_checkpoint(task: Task) -> int | None:
    newest = checkpoints.newest_valid(checkpoints.find(task.folder))
    return newest.step if newest else None


def _end_on_signal(task: Task, state: RunState) -> None:
    """End at once on SIGTERM or Ctrl+C while nothing is being trained, leaving a true run.json."""

    def end(number: int, frame: FrameType | None) -> Any:
        if state.value["ended_at"] is None:
            os._exit(_stopped(state, _last_checkpoint(task)))
        # Else the last word is being written, and this process ends by itself.

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def _follow_launcher() -> None:
    """Get SIGTERM when the shell that started us dies with its launcher. Linux only."""
    if os.environ.get("TUNESMITH_LAUNCHER"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
