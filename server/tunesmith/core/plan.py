"""A plan: what would be done, shown in every front before it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal["create", "update", "delete", "keep", "upload", "download", "run", "check"]


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One thing that would happen to one subject."""

    action: Action
    subject: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """A pure value. `cost` is a sentence ("free on this machine"), never an invented figure."""

    title: str
    rows: tuple[PlanRow, ...]
    cost: str
    warnings: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether applying the plan would change anything."""
        return any(row.action not in ("keep", "check") for row in self.rows)
