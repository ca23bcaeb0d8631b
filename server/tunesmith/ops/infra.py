"""Operations on what is provisioned: plan, apply, status, destroy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from tunesmith.core.infra import InfraResource, InfraResult, InfraStatus
from tunesmith.core.infra_config import KINDS
from tunesmith.core.infra_config import Kind as InfraKind
from tunesmith.core.json_values import at, words
from tunesmith.core.messages import text
from tunesmith.ops.registry import ProjectParams, arg, operation

if TYPE_CHECKING:
    from tunesmith.ops.context import Context


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
    return await apply(ctx, Apply(project=p.project, target=p.target, kind=p.kind, dry_run=True))


@operation(
    "infra/apply", Apply, InfraResult, long=True, confirm=True, still_running="running.deployment"
)
async def apply(ctx: Context, p: Apply) -> InfraResult:
    """Provision the resources and write their names to infra/*.config.json."""
    from tunesmith.ops.provisioning import apply_provisioning, plan_provisioning
    from tunesmith.ops.session import open_session

    kind = cast("InfraKind", _checked(p.kind))
    async with open_session(ctx, p) as session:
        prepared = await plan_provisioning(session, kind)
        if p.dry_run:
            return InfraResult(kind, prepared.plan, False, {})
        return await apply_provisioning(session, prepared)


@operation("infra/status", ProjectParams, InfraStatus)
async def status(ctx: Context, p: ProjectParams) -> InfraStatus:
    """Show what is provisioned and in which state."""
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        session.refuse_unusable_config(*KINDS)
        name, group = await session.group()
        if group is None:
            return InfraStatus(name, "", False, ())
        listed = await session.cloud.provisioner.resources(name)
        resources = [
            InfraResource(
                id=words(r.get("id")),
                type=words(r.get("type")),
                name=words(r.get("name")),
                state=words(r.get("provisioningState"))
                or words(at(r, "properties", "provisioningState")),
            )
            for r in listed
        ]
        resources.sort(key=lambda r: (r.type.lower(), r.name))
        return InfraStatus(group.name, group.location, True, tuple(resources))


@operation(
    "infra/destroy", Destroy, InfraResult, long=True, confirm=True, still_running="running.destroy"
)
async def destroy(ctx: Context, p: Destroy) -> InfraResult:
    """Remove everything that this project provisioned, and nothing else."""
    from tunesmith.ops.destroying import apply_destroy, plan_destroy
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        prepared = await plan_destroy(session)
        if not p.dry_run:
            await apply_destroy(session, prepared)
        return InfraResult("", prepared.plan, not p.dry_run, {})


def _checked(kind: str) -> str:
    from tunesmith.core.errors import InfraError

    if kind not in KINDS:
        raise InfraError("infra.unknownKind", kind=kind, known=text("list.or").join(KINDS))
    return kind
