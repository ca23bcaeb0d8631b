"""From a problem in a file to the refusal that an operation ends with: the first error is named."""

from __future__ import annotations

from collections.abc import Iterable

from tunesmith.core.errors import DatasetError, Fix, ProjectError
from tunesmith.core.messages import text
from tunesmith.core.problems import Problem


def refuse_dataset(problems: Iterable[Problem], project: str = "") -> None:
    """Raise DatasetError for the first error: "dataset.notFound" and the like for the whole file,
    "dataset.unusable" for a row. Nothing happens when there are only warnings."""
    for problem in problems:
        if problem.severity != "error":
            continue
        fix = Fix(text("fixes.check"), "project/check", {"project": project}) if project else None
        code = "dataset.unusable" if problem.line else "dataset.fileUnusable"
        raise DatasetError(
            code,
            fix=fix,
            file=problem.file,
            line=problem.line,
            problem=problem.message,
            what_to_do=problem.hint,
        )


def refuse_config(problems: Iterable[Problem]) -> None:
    """Raise ProjectError for the first error in a config file."""
    for problem in problems:
        if problem.severity == "error":
            code = "project.configInvalid" if problem.line else "project.fileUnusable"
            raise ProjectError(
                code,
                file=problem.file,
                line=problem.line,
                problem=problem.message,
                what_to_do=problem.hint,
            )
