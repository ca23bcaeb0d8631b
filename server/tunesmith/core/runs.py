"""A run: one fine-tuning, made of one or more executions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.core.plan import Plan

RunState = Literal[
    "created",  # request.json is there, ARM has accepted no execution yet
    "queued",  # ARM has it, nothing has printed yet
    "running",
    "stopping",
    "stopped",  # ended on request with a checkpoint; can be resumed
    "interrupted",  # its execution died without a word (kill -9, eviction); can be resumed
    "failed",
    "succeeded",
]


@dataclass(frozen=True, slots=True)
class Run:
    """A run as users meet it; a pure function of request.json, run.json and ARM's executions."""

    id: str
    state: RunState
    reason: str
    """Why it is in this state, in one sentence; empty when the state says it all."""
    model: str
    recipe: str
    method: str
    step: int
    steps: int
    loss: float | None
    eval_loss: float | None
    created_at: str
    started_at: str
    ended_at: str
    executions: tuple[str, ...]
    artifact: str
    """Path of what the run made, relative to the share; empty until there is one."""
    can_resume: bool


@dataclass(frozen=True, slots=True)
class RunStarted:
    """What `run start|resume` answer, once ARM has accepted the execution."""

    plan: Plan
    applied: bool
    run: Run | None


@dataclass(frozen=True, slots=True)
class RunList:
    """What `run list` answers, newest first."""

    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines of a run's log. `cursor` is a byte offset in log.txt to go on from; `at_end` when the
    run has ended and nothing follows."""

    run: Run
    lines: tuple[str, ...]
    cursor: int
    at_end: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """One question of the comparison with what base and tuned model said."""

    id: str
    kind: Literal["fact", "general"]
    question: str
    expected: tuple[str, ...]
    base: str
    base_right: bool
    tuned: str
    tuned_right: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `run compare` answers: shares of right answers, base against tuned, and every answer."""

    plan: Plan
    applied: bool
    run_id: str
    facts_total: int = 0
    facts_base: int = 0
    facts_tuned: int = 0
    general_total: int = 0
    general_base: int = 0
    general_tuned: int = 0
    answers: tuple[Answer, ...] = ()
    details: dict[str, Any] | None = None
