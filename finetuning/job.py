"""What a run carries from its plan into the pass that trains, and how the pass reports back.

Olive makes the pass and hands it plain values only, so the one job of this process is kept
here and the pass asks for it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from chat_data import Example
from method import Method
from run_state import RunState


@dataclass
class StopSignal:
    """Whether SIGTERM or Ctrl+C came while this was listening."""

    came: bool = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Only note the signals inside the block; what they did before is restored after it."""
        before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
        for number in before:
            signal.signal(number, self._note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = True


@dataclass
class Job:
    """One training, planned and checked. `eval` may be empty; `save_minutes` 0 saves each step."""

    folder: Path
    state: RunState
    method: Method
    train: list[Example]
    eval: list[Example]
    training_args: dict[str, Any]
    save_minutes: float
    steps: int
    has_later_passes: bool = False
    stop: StopSignal = field(default_factory=StopSignal)

    @property
    def details(self) -> Path:
        """Where the traceback of this attempt goes if it fails unforeseen."""
        return self.folder / f"error-{self.state.value['attempt']}.txt"


_current: Job | None = None


def set_current(job: Job) -> None:
    """Make this the job that the pass will train."""
    global _current
    _current = job


def current() -> Job:
    """Return the job of this process."""
    assert _current is not None, "the pass ran outside of invoke_olive.py"
    return _current
