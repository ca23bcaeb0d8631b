"""A project: the user's folder. Loading never fails; it reports problems with file and line."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.core.problems import Problem

MODEL_UNVERIFIED = "project.modelUnverified"
"""Code of the warning that only the hub knows whether the base model exists."""


@dataclass(frozen=True, slots=True)
class Project:
    """What `project describe` answers: the folder as far as it could be read."""

    folder: str
    name: str
    model: str
    recipe: str
    dataset: str
    template_version: str
    target: str
    provisioned: tuple[str, ...]
    """Which of "finetuning" and "inference" have a filled config file."""
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class CreatedProject:
    """What `project create` answers."""

    folder: str
    name: str
    model: str
    files: int


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What the rows look like. Token counts are None when no tokenizer was at hand."""

    file: str
    rows: int
    usable_rows: int
    encoding: str
    tokens: int | None = None
    longest_row_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `project check` answers: every problem, errors first, then by file and line."""

    datasets: tuple[DatasetSummary, ...]
    problems: tuple[Problem, ...]
    errors: int
    warnings: int
