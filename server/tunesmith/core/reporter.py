"""What an operation tells while it works. The terminal, the editor and tests each implement it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class Step:
    """Where a long operation is. `done` and `total` share one unit; total None means unknown."""

    message: str
    done: float | None = None
    total: float | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a run's log, without its line break and escape codes.

    `seq` numbers the lines of one log from 0 without gaps; `source` says who wrote it.
    """

    seq: int
    text: str
    source: Literal["job", "system"] = "job"
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class Event:
    """One `::tunesmith::` line of a run: kind is progress, metric, state or problem."""

    kind: str
    data: dict[str, Any] = field(default_factory=dict[str, Any])


class Reporter(Protocol):
    """Receives an operation's news, in order, on the event loop's thread. Must not block."""

    def step(self, step: Step) -> None:
        """Where the work is now; replaces the step before."""
        ...

    def log(self, line: LogLine) -> None:
        """One line of a log."""
        ...

    def event(self, event: Event) -> None:
        """What a run said of itself."""
        ...

    def warn(self, message: str) -> None:
        """A sentence that the user should see, beside the result."""
        ...


@dataclass(slots=True)
class RecordingReporter:
    """Keeps everything in lists, for tests and for callers that want no news."""

    steps: list[Step] = field(default_factory=list[Step])
    lines: list[LogLine] = field(default_factory=list[LogLine])
    events: list[Event] = field(default_factory=list[Event])
    warnings: list[str] = field(default_factory=list[str])

    def step(self, step: Step) -> None:
        """Keep it."""
        self.steps.append(step)

    def log(self, line: LogLine) -> None:
        """Keep it."""
        self.lines.append(line)

    def event(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)

    def warn(self, message: str) -> None:
        """Keep it."""
        self.warnings.append(message)
