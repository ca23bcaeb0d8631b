"""What a long operation tells, on stderr: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from tunesmith.cli.terminal import Terminal, has_unicode
from tunesmith.cli.units import duration, sparkline
from tunesmith.core.messages import text
from tunesmith.core.reporter import Event, LogLine, Reporter, Step

PLAIN_SECONDS = 10.0
"""Between two plain lines about the same phase, so that a CI log stays readable."""
NOISE = ("Requirement already satisfied", "Looking in indexes", "Looking in links")
_LEVEL_STYLES = {"debug": "dim", "info": "", "warning": "warn", "error": "bad"}


@dataclass(slots=True)
class Training:
    """The newest figures of a run, from its progress events. None: not told yet."""

    phase: str = ""
    step: int = 0
    steps: int = 0
    loss: float | None = None
    tokens_per_s: float | None = None
    eta_s: float | None = None
    losses: list[float] = field(default_factory=list[float])

    def update(self, data: dict[str, Any]) -> None:
        """Take in one progress event; what it leaves out or garbles stays as it was."""
        self.phase = str(data.get("phase") or self.phase)
        self.step = _whole(data.get("step"), self.step)
        self.steps = _whole(data.get("steps"), self.steps)
        self.tokens_per_s = _number(data.get("tokens_per_s"), self.tokens_per_s)
        self.eta_s = _number(data.get("eta_s"), self.eta_s)
        loss = _number(data.get("loss"), None)
        if loss is not None:
            self.loss = loss
            self.losses.append(loss)

    def has_told(self, step: Step) -> bool:
        """Whether `step` says again what a progress event has said."""
        return bool(self.steps) and (step.done, step.total) == (self.step, self.steps)

    def figures(self) -> list[str]:
        """`loss 0.94`, `118 tokens/s`, `1:20 left`: what is known of them."""
        found: list[str] = []
        if self.loss is not None:
            found.append(text("cli.progress.loss", loss=f"{self.loss:.3f}"))
        if self.tokens_per_s:
            found.append(text("cli.progress.speed", speed=f"{self.tokens_per_s:.0f}"))
        if self.eta_s is not None and self.step < self.steps:
            found.append(text("cli.progress.left", time=duration(self.eta_s)))
        return found


def _whole(value: Any, otherwise: int) -> int:
    return int(value) if isinstance(value, (int, float)) else otherwise


def _number(value: Any, otherwise: float | None) -> float | None:
    return float(value) if isinstance(value, (int, float)) else otherwise


@contextmanager
def reporting(terminal: Terminal, *, quiet: bool, live: bool = True) -> Generator[Reporter]:
    """Yield the reporter that suits the terminal; its live line is gone afterwards."""
    if quiet:
        yield QuietReporter(terminal.err)
    elif terminal.err.is_terminal and not terminal.err.is_dumb_terminal and live:
        reporter = LiveReporter(terminal.err, terminal.out)
        with reporter.live:
            yield reporter
    else:
        yield PlainReporter(terminal.err, terminal.out)


@dataclass(slots=True)
class QuietReporter:
    """For --json: only warnings, on stderr."""

    err: Console

    def step(self, step: Step) -> None:
        """Say nothing."""

    def log(self, line: LogLine) -> None:
        """Say nothing; the lines are in the result."""

    def event(self, event: Event) -> None:
        """Say nothing."""

    def warn(self, message: str) -> None:
        """Print a warning."""
        _print_warning(self.err, message)


class PlainReporter:
    """One line for each new phase, and at most one every PLAIN_SECONDS within it.

    A job that prints lines of its own tells its progress in them; events only fill its silence.
    """

    def __init__(
        self, err: Console, out: Console, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._err = err
        self._out = out
        self._now = now
        self._phase = ""
        self._told_at = 0.0
        self._heard_at = -PLAIN_SECONDS
        self._training = Training()

    def step(self, step: Step) -> None:
        """Print the phase when it is new or a while has passed."""
        if self._training.has_told(step):
            return
        share = ""
        if step.total and step.done is not None:
            share = f" {min(step.done / step.total, 1):.0%}"
        # Steps of one total are one phase, whichever file each of them names.
        phase = f"of {step.total}" if step.total else step.message
        self._tell(phase, step.message + share)

    def log(self, line: LogLine) -> None:
        """Print a log line on stdout, where a pipe expects it."""
        if line.source == "job":
            self._heard_at = self._now()
        self._out.print(Text(line.text), soft_wrap=True)

    def event(self, event: Event) -> None:
        """Print the training's figures now and then; a problem stands in the log already."""
        if event.kind == "progress":
            training = self._training
            training.update(event.data)
            if self._now() - self._heard_at < PLAIN_SECONDS:
                return
            where = f"{training.phase or text('cli.progress.training')}"
            if training.steps:
                where += f" {training.step}/{training.steps}"
            self._tell(training.phase, "  ".join([where, *training.figures()]))

    def warn(self, message: str) -> None:
        """Print a warning."""
        _print_warning(self._err, message)

    def _tell(self, phase: str, line: str) -> None:
        now = self._now()
        if phase == self._phase and now - self._told_at < PLAIN_SECONDS:
            return
        self._phase, self._told_at = phase, now
        self._err.print(Text(line), soft_wrap=True)


class LiveReporter:
    """A line at the bottom with phase, bar and figures; log lines scroll by above it."""

    def __init__(self, err: Console, out: Console) -> None:
        self._err = err
        self._training = Training()
        self._step: Step | None = None
        self._is_training = False
        self._spinner = Spinner("dots" if has_unicode(err) else "line", style="accent")
        self._started = time.monotonic()
        self._piped_out = None if out.is_terminal else out
        self.live = Live(
            console=err, get_renderable=self._render, transient=True, refresh_per_second=8
        )

    def step(self, step: Step) -> None:
        """Show where the operation is."""
        if self._training.has_told(step):
            return
        if self._step is None or step.message != self._step.message:
            self._started = time.monotonic()
        self._step = step
        self._is_training = False

    def log(self, line: LogLine) -> None:
        """Print a log line above the live line, or into the pipe.

        What was waited for, such as an image or a place in the queue, is over once the job speaks.
        """
        if line.source == "job" and not self._is_training:
            self.step(Step(text("cli.progress.job")))
        style = _LEVEL_STYLES[line.level] or ("dim" if line.source == "system" else "")
        if self._piped_out is not None:
            self._piped_out.print(Text(line.text), soft_wrap=True)
        else:
            self._err.print(Text(line.text, style), soft_wrap=True)

    def event(self, event: Event) -> None:
        """Show the training's figures. A problem stands in the log too, in the job's own words."""
        if event.kind == "progress":
            self._training.update(event.data)
            self._is_training = True

    def warn(self, message: str) -> None:
        """Print a warning above the live line."""
        _print_warning(self._err, message)

    def _render(self) -> RenderableType:
        if self._is_training:
            return self._training_line()
        if self._step is None:
            return Text()
        cells: list[RenderableType] = [self._spinner, Text(self._step.message, overflow="ellipsis")]
        if self._step.total and self._step.done is not None:
            share = min(self._step.done / self._step.total, 1)
            cells += [_bar(share), Text(f"{share:.0%}")]
        cells.append(Text(duration(time.monotonic() - self._started), "dim"))
        return _line(cells)

    def _training_line(self) -> RenderableType:
        training = self._training
        phase = training.phase or text("cli.progress.training")
        cells: list[RenderableType] = [self._spinner, Text(phase)]
        if training.steps:
            cells += [
                _bar(training.step / training.steps),
                Text(f"{training.step}/{training.steps}", "bold"),
            ]
        cells += [Text(figure) for figure in training.figures()]
        if has_unicode(self._err) and self._err.width >= 100:
            cells.append(Text(sparkline(training.losses), "accent"))
        return _line(cells)


@dataclass(slots=True)
class WithoutNoise:
    """Passes everything on but what an installer says of packages that are there already."""

    inner: Reporter

    def step(self, step: Step) -> None:
        """Pass it on."""
        self.inner.step(step)

    def log(self, line: LogLine) -> None:
        """Pass it on; noise becomes a word on what goes on."""
        if line.text.startswith(NOISE):
            self.inner.step(Step(text("cli.progress.installing")))
        else:
            self.inner.log(line)

    def event(self, event: Event) -> None:
        """Pass it on."""
        self.inner.event(event)

    def warn(self, message: str) -> None:
        """Pass it on."""
        self.inner.warn(message)


def _bar(share: float) -> ProgressBar:
    return ProgressBar(total=1.0, completed=share, width=24, complete_style="accent")


def _line(cells: list[RenderableType]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in cells:
        grid.add_column(no_wrap=True)
    grid.add_row(*cells)
    return grid


def _print_warning(console: Console, message: str) -> None:
    console.print(Text.assemble((text("cli.warning"), "warn"), " ", message), soft_wrap=True)
