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
    from pathlib import Path

    from tunesmith.core.messages import text
    from tunesmith.ops.base_model import is_unverified
    from tunesmith.ops.scaffolding import create_project

    created = create_project(p.folder, model=p.model, dataset=p.dataset, values=p.values)
    if is_unverified(Path(created.folder), created.model):
        ctx.reporter.warn(text("problems.project.modelUnverified.message", model=created.model))
    return created


@operation("project/describe", ProjectParams, Project)
async def describe(ctx: Context, p: ProjectParams) -> Project:
    """Show what the project is, and the problems of its files."""
    from tunesmith.core.infra_config import KINDS
    from tunesmith.core.json_values import words
    from tunesmith.core.run_request import inputs_of
    from tunesmith.workspace.project_folder import read_project

    project = read_project(p.project)
    inputs = inputs_of(project.config.values)
    return Project(
        folder=str(project.root),
        name=project.name,
        model=inputs.model,
        recipe="chat",
        dataset=inputs.dataset,
        template_version=words(project.identity.get("template_version")),
        target=p.target or words(project.target.get("name")) or "local",
        provisioned=tuple(kind for kind in KINDS if project.provisioned(kind)),
        problems=project.problems,
    )


@operation("project/check", Check, CheckReport, long=True)
async def check(ctx: Context, p: Check) -> CheckReport:
    """Check the dataset and the configs before anything is paid for."""
    from tunesmith.ops.checking import check_project

    return await check_project(ctx, p.project, p.dataset)
