"""Operations on the project folder: create, describe, check."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunesmith.core.project import CheckReport, CreatedProject, Project
from tunesmith.ops.registry import ProjectParams, arg, operation

if TYPE_CHECKING:
    from tunesmith.ops.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """`values` are the template's form fields (template/manifest.json) by name."""

    folder: str = arg("the new project's folder", positional=True)
    model: str | None = arg(
        "catalogue name, Hugging Face id or folder of the base model", default=None
    )
    dataset: str | None = arg("file of examples to copy in instead of the sample", default=None)
    values: dict[str, str] = field(
        default_factory=dict[str, str], metadata={"help": "other form fields, name=value"}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(ProjectParams):
    """Which files to check beside the project's own."""

    dataset: str | None = arg("a dataset file to check instead of the project's", default=None)


@operation("project/create", Create, CreatedProject)
async def create(ctx: Context, p: Create) -> CreatedProject:
    """Make a project folder from the template."""
    raise NotImplementedError


@operation("project/describe", ProjectParams, Project)
async def describe(ctx: Context, p: ProjectParams) -> Project:
    """Show what the project is, and the problems of its files."""
    raise NotImplementedError


@operation("project/check", Check, CheckReport, long=True)
async def check(ctx: Context, p: Check) -> CheckReport:
    """Check the dataset and the configs before anything is paid for."""
    raise NotImplementedError
