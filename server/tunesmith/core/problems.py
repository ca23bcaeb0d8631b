"""A problem found in a project's file, in the shape that a terminal and an editor both show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Problem:
    """`file` is relative to the project; `line` and `column` count from 1, 0: the whole file."""

    file: str
    line: int
    column: int
    severity: Literal["error", "warning", "info"]
    code: str
    message: str
    hint: str = ""
