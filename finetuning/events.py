"""Events: one line on stdout each, `::tunesmith:: {json}`, between ordinary log lines.

Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

PREFIX = "::tunesmith:: "
_last_seq = 0


def emit(kind: str, **fields: Any) -> None:
    """Print one event. `kind` is state, progress, metric or problem; events are numbered from 1."""
    global _last_seq
    _last_seq += 1
    event = {"v": 1, "seq": _last_seq, "kind": kind, **fields}
    say(PREFIX + json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def problem(code: str, message: str, hint: str = "", severity: str = "error") -> None:
    """Print a sentence for people, and the same as an event for programs."""
    say(f"{severity}: {message}" + (f" {hint}" if hint else ""))
    emit("problem", code=code, message=message, hint=hint, severity=severity)


def say(text: str) -> None:
    """Print one line at once. A reader that went away must not end the work."""
    with contextlib.suppress(OSError, ValueError):
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except RuntimeError:
            # A signal's handler speaks while the line below it is being written; Python refuses
            # to enter its own buffer twice.
            os.write(1, f"\n{text}\n".encode())
