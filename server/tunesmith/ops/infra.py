"""Operations on what is provisioned: plan, apply, status, destroy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.core.infra import InfraResult, InfraStatus
from tunesmith.ops.registry import ProjectParams, arg, operation

if TYPE_CHECKING:
    from tunesmith.ops.context import Context

KINDS = ("finetuning", "inference")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(ProjectParams):
    """Which of the two templates."""

    kind: str = arg("what to provision for", default="finetuning", positional=True, choices=KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply(Kind):
    """Provision, or with dry_run only say what would be."""

    dry_run: bool = arg("only show the plan", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroy(ProjectParams):
    """Take down what the project's deployments made, or with dry_run only list it."""

    dry_run: bool = arg("only show the plan", default=False)


@operation("infra/plan", Kind, InfraResult, long=True)
async def plan(ctx: Context, p: Kind) -> InfraResult:
    """Show what provisioning would create, change and cost."""
    raise NotImplementedError


@operation(
    "infra/apply", Apply, InfraResult, long=True, confirm=True, still_running="running.deployment"
)
async def apply(ctx: Context, p: Apply) -> InfraResult:
    """Provision the resources and write their names to infra/*.config.json."""
    raise NotImplementedError


@operation("infra/status", ProjectParams, InfraStatus)
async def status(ctx: Context, p: ProjectParams) -> InfraStatus:
    """Show what is provisioned and in which state."""
    raise NotImplementedError


@operation(
    "infra/destroy", Destroy, InfraResult, long=True, confirm=True, still_running="running.destroy"
)
async def destroy(ctx: Context, p: Destroy) -> InfraResult:
    """Remove everything that this project provisioned, and nothing else."""
    raise NotImplementedError
