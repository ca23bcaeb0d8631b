"""Follows a training: lines for people, events for programs, metrics, and checkpoints by time."""

from __future__ import annotations

import json
import math
import resource
import statistics
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import checkpoints
from events import emit, say
from job import Job
from problem import StopRequested, TrainingFailed
from run_state import now
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

KEPT_CHECKPOINTS = 2
# A checkpoint on a slow share may take long; saving never takes more than a part of the time.
SAVE_SHARE = 0.05
MIN_S_BETWEEN_LINES = 1.0


class Progress(TrainerCallback):
    """One per training. `trainer` is set once it exists; it knows the tokens seen."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.trainer: Any = None
        self._metrics_file = job.folder / "metrics.jsonl"
        self._eval_loss_before: float | None = None
        self._last_step_ended_s = 0.0
        self._recent: deque[tuple[float, int]] = deque(maxlen=20)  # (seconds, tokens) of a step
        self._tokens_before_step = 0
        self._saved_at_s = time.monotonic()
        self._save_took_s = 0.0
        self._said_at_s = 0.0
        self._trained_s = 0.0
        self._before: tuple[int, float] = (0, 0.0)  # (tokens, seconds) of earlier attempts
        self._loss: float | None = None

    @property
    def is_later_attempt(self) -> bool:
        """Whether this run has been tried before."""
        return self._job.state.value["attempt"] > 1

    # --- what the trainer calls -----------------------------------------------------------------

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any
    ) -> None:
        """Start the clocks."""
        if state.max_steps != self._job.steps:
            self._job.steps = state.max_steps
            self._job.state.update(steps=state.max_steps)
        self._last_step_ended_s = self._saved_at_s = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any
    ) -> None:
        """Ask for a checkpoint when it is time, at the end, and when a signal came."""
        ended_s = time.monotonic()
        tokens = self.trainer.tokens_seen - self._tokens_before_step
        self._tokens_before_step = self.trainer.tokens_seen
        self._recent.append((ended_s - self._last_step_ended_s, tokens))
        self._trained_s += ended_s - self._last_step_ended_s
        self._last_step_ended_s = ended_s
        if self._job.stop.came:
            control.should_save = control.should_training_stop = True
            return
        interval_s = self._job.save_minutes * 60
        if interval_s > 0:
            interval_s = max(interval_s, self._save_took_s / SAVE_SHARE)
        if state.global_step == state.max_steps or ended_s - self._saved_at_s >= interval_s:
            control.should_save = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kw: Any,
    ) -> None:
        """Write the step's metrics, and say them unless a line was said just now."""
        if not logs or "loss" not in logs:
            return
        speed = self._tokens_per_s()
        self._loss = float(logs["loss"])
        if not math.isfinite(self._loss):
            raise TrainingFailed(
                "train.diverged",
                f"The loss is no number any more after step {state.global_step}.",
                'Lower "learning_rate" (by a factor of ten, say) and start a new run.',
            )
        eta_s = self._eta_s(state)
        line = {
            "v": 1,
            "step": state.global_step,
            "epoch": round(state.epoch or 0.0, 4),
            "loss": self._loss,
            "learning_rate": float(logs.get("learning_rate", 0.0)),
            "grad_norm": float(logs["grad_norm"]) if "grad_norm" in logs else None,
            "tokens": self.trainer.tokens_seen,
            "tokens_per_s": round(speed, 1),
            "eta_s": eta_s,
            "rss_bytes": rss_bytes(),
            "time": now(),
        }
        self._write_metric(line)
        elapsed_s = time.monotonic() - self._said_at_s
        if state.global_step == state.max_steps or elapsed_s >= MIN_S_BETWEEN_LINES:
            self._said_at_s = time.monotonic()
            self._tell(state, speed, eta_s)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any
    ) -> None:
        """Seal the checkpoint that was just written, then delete those that are too old."""
        folder = self._job.folder / f"checkpoint-{state.global_step}"
        checkpoints.seal(
            folder,
            {
                "v": 1,
                "step": state.global_step,
                "tokens_trained": self.trainer.tokens_seen,
                "trained_s": self._trained_s,
                "eval_loss_before": self._eval_loss_before,
                "loss": self._loss,
            },
        )
        checkpoints.keep_newest(self._job.folder, KEPT_CHECKPOINTS)
        ended_s = time.monotonic()
        self._save_took_s = ended_s - self._last_step_ended_s
        self._last_step_ended_s = self._saved_at_s = ended_s
        self._update(state)
        if self._job.stop.came:
            control.should_training_stop = True
            say(f"Asked to stop: {folder.name} is written, the run can go on after it.")

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any
    ) -> None:
        """End an evaluation at once when a signal came; training's end is saved before it."""
        if self._job.stop.came:
            raise StopRequested(state.global_step or None)

    # --- what train() calls ---------------------------------------------------------------------

    def resumed(self, start: checkpoints.Found) -> None:
        """Take over the counts of an earlier attempt; cut what it logged after its checkpoint."""
        notes = checkpoints.read_notes(start.folder)
        self.trainer.tokens_seen = self._tokens_before_step = int(notes["tokens_trained"])
        self._trained_s = float(notes["trained_s"])
        self._before = (self.trainer.tokens_seen, self._trained_s)
        self._eval_loss_before = notes["eval_loss_before"]
        self._loss = notes["loss"]
        cut_metrics(self._metrics_file, start.step)
        self._job.state.update(resumed_from=start.step, step=start.step)
        emit("state", state="running", resumed_from=start.step, steps=self._job.steps)

    def evaluated_before(self, loss: float) -> None:
        """Note the held-out loss of the untrained model."""
        self._eval_loss_before = loss
        cut_metrics(self._metrics_file, -1)
        self._write_eval(0, loss)
        self._job.state.update(metrics={"eval_loss_before": loss})

    def evaluated_after(self, loss: float) -> None:
        """Note the held-out loss of the trained model."""
        cut_metrics(self._metrics_file, self._job.steps, drops_eval_there=True)
        self._write_eval(self._job.steps, loss)
        self._job.state.update(metrics={"eval_loss": loss})
        before = self._eval_loss_before
        say(f"Held-out loss: {loss:.3f}" + (f", before training {before:.3f}." if before else "."))

    def tell_end_of_training(self) -> None:
        """Say what training took: this attempt in words, all attempts together in run.json."""
        speed = self.trainer.tokens_seen / self._trained_s if self._trained_s else 0.0
        tokens_before, before_s = self._before
        tokens, seconds = self.trainer.tokens_seen - tokens_before, self._trained_s - before_s
        own_speed = tokens / seconds if seconds else 0.0
        self._job.state.update(
            step=self._job.steps,
            metrics={
                "loss": self._loss,
                "tokens_trained": self.trainer.tokens_seen,
                "tokens_per_s": round(speed, 1),
                "peak_rss_bytes": peak_rss_bytes(),
                "trained_s": round(self._trained_s, 1),
            },
        )
        say(
            f"Trained {tokens:,} tokens in {duration(seconds)} "
            f"({own_speed:.0f} tokens/s)"
            + (f", {self.trainer.tokens_seen:,} with earlier attempts" if tokens_before else "")
            + f", {peak_rss_bytes() / 1e9:.1f} GB of memory at most."
        )

    # --- parts ----------------------------------------------------------------------------------

    def _tell(self, state: TrainerState, speed: float, eta_s: float | None) -> None:
        left = "" if eta_s is None else f"  {duration(eta_s)} left"
        width = len(str(state.max_steps))
        say(
            f"step {state.global_step:>{width}}/{state.max_steps}  loss {self._loss:.3f}  "
            f"{speed:4.0f} tokens/s{left}"
        )
        emit(
            "progress",
            phase="train",
            step=state.global_step,
            steps=state.max_steps,
            loss=self._loss,
            tokens_per_s=round(speed, 1),
            eta_s=eta_s,
        )
        self._update(state)

    def _update(self, state: TrainerState) -> None:
        self._job.state.update(
            step=state.global_step,
            metrics={
                "loss": self._loss,
                "tokens_trained": self.trainer.tokens_seen,
                "tokens_per_s": round(self._tokens_per_s(), 1),
                "peak_rss_bytes": peak_rss_bytes(),
            },
        )

    def _tokens_per_s(self) -> float:
        seconds = sum(s for s, _ in self._recent)
        return sum(t for _, t in self._recent) / seconds if seconds else 0.0

    def _eta_s(self, state: TrainerState) -> float | None:
        # The first step of a process takes many times as long as the others.
        recent = [s for s, _ in self._recent][1:]
        if not recent:
            return None
        return round(statistics.median(recent) * (state.max_steps - state.global_step), 1)

    def _write_eval(self, step: int, loss: float) -> None:
        self._write_metric({"v": 1, "step": step, "eval_loss": loss, "time": now()})
        emit("metric", step=step, name="eval_loss", value=loss)

    def _write_metric(self, line: dict[str, Any]) -> None:
        with open(self._metrics_file, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def cut_metrics(path: Path, last_step: int, *, drops_eval_there: bool = False) -> None:
    """Drop lines after `last_step`, and half lines: an attempt that died logged them."""
    if not path.is_file():
        return
    kept = []
    for text in path.read_text("utf-8", "replace").splitlines():
        try:
            line = json.loads(text)
            step = int(line["step"])
        except (ValueError, KeyError, TypeError):
            continue
        is_old_eval = drops_eval_there and step == last_step and "eval_loss" in line
        if step <= last_step and not is_old_eval:
            kept.append(text)
    part = path.with_name(f".{path.name}.part")
    part.write_text("".join(f"{k}\n" for k in kept), "utf-8")
    part.replace(path)


def rss_bytes() -> int:
    """Return the memory this process holds now, where the system says so, else its peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak_rss_bytes()
    return pages * resource.getpagesize()


def peak_rss_bytes() -> int:
    """Return the most memory this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def duration(seconds: float) -> str:
    """Return a span of time for people: `42 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
