"""The two ways in which training ends early, and what a finding about the input looks like.

Both exceptions derive from BaseException: Olive swallows RuntimeError, OSError and MemoryError
raised in a pass and goes on to exit code 0, and leaves everything that is no Exception alone.
"""

from __future__ import annotations

import contextlib
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal


class TrainingFailed(BaseException):
    """The run cannot go on. `code` is for programs, `message` and `hint` for people."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def as_json(self) -> dict[str, str]:
        """Return the form that run.json keeps."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class StopRequested(BaseException):
    """SIGTERM or Ctrl+C came; `step` is the checkpoint to go on from, None when there is none."""

    def __init__(self, step: int | None) -> None:
        super().__init__(f"stopped at step {step}")
        self.step = step


@dataclass(frozen=True)
class Finding:
    """Something about an input file that its owner should know. `line` counts from 1."""

    code: str
    message: str
    severity: Literal["error", "warning"] = "error"
    hint: str = ""
    file: str = ""
    line: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the form that programs read."""
        return asdict(self)


def unexpected(code: str, what: str, error: Exception, details: Path) -> TrainingFailed:
    """Make a sentence of an exception nobody foresaw; its traceback goes to a file of its own."""
    with contextlib.suppress(OSError):
        details.write_text("".join(traceback.format_exception(error)), "utf-8")
    text = " ".join(str(error).split())[:300] or "no message"
    return TrainingFailed(
        code,
        f"{what} failed: {type(error).__name__}: {text}",
        f"{details.parent.name}/{details.name} has the details.",
    )
