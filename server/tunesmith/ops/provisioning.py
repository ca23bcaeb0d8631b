"""How a project is provisioned: compiled template, its values, the plan, then the deployment."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.errors import TunesmithError
from tunesmith.core.infra import InfraResult
from tunesmith.core.infra_config import KINDS, Kind, config_file
from tunesmith.core.json_values import mapping
from tunesmith.core.messages import text
from tunesmith.core.plan import Action, Plan, PlanRow
from tunesmith.core.ports import Deployment, ResourceChange
from tunesmith.core.reporter import Step
from tunesmith.core.targets import portal_link
from tunesmith.ops.session import PROJECT_TAG, Session
from tunesmith.workspace.infra_files import check_writable, load_template, write_outputs

PROGRESS_EVERY_S = 2.0
API_KEY_SECRET = "api-key"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A deployment that is ready to go, with the plan that shows it."""

    kind: Kind
    group: str
    is_new_group: bool
    deployment: Deployment = field(repr=False)
    plan: Plan


def deployment_name(kind: Kind) -> str:
    """Return the name that this project's deployments of a kind have in their resource group."""
    return f"tunesmith-{kind}"


async def plan_provisioning(
    session: Session, kind: Kind, extra: Mapping[str, Any] | None = None
) -> Prepared:
    """Read template and parameters and ask the cloud what they would change.

    `extra`: parameters of this call alone, such as the run to serve.
    Raises: InfraError, ToolMissing("tool.bicepMissing"), ProjectError for a broken config file.
    """
    session.refuse_unusable_config(*KINDS)
    root = session.project.root
    session.ctx.reporter.step(Step(text("infra.planning", kind=kind)))
    files = load_template(root, kind)
    group, existing = await session.group()
    if session.project.identity.get("id"):  # a clone of a project comes without one
        session.refuse_foreign_group(existing)
    is_new = existing is None
    values = {**_shared_names(session, kind), **files.parameters, **(extra or {})}
    declared = mapping(files.template.get("parameters"))
    if "apiKey" in declared:
        values["apiKey"] = await _api_key(session, group, is_new)
    values = {name: value for name, value in values.items() if name in declared}
    deployment = Deployment(deployment_name(kind), files.template, values)
    location = session.target.cloud.location
    changes = await session.cloud.provisioner.what_if(
        group, deployment, new_in=location if is_new else None
    )
    rows = [PlanRow("create", group, text("infra.row.group"))] if is_new else []
    rows += [_changed(c) for c in changes if c.change != "ignore"]
    is_local = session.target.name == "local"
    plan = Plan(
        title=text("infra.title", kind=kind, target=session.target.name, group=group),
        rows=tuple(rows),
        cost=text("infra.cost.local" if is_local else "infra.cost.azure"),
        warnings=files.warnings,
    )
    return Prepared(kind, group, is_new, deployment, plan)


async def apply_provisioning(session: Session, prepared: Prepared) -> InfraResult:
    """Deploy and write the outputs, last and atomically. Doing it again changes nothing.

    Cancelled, the deployment goes on in the cloud and no config file is touched; applying again
    joins it. Raises: InfraError, AuthError, TargetError.
    """
    cloud, reporter = session.cloud, session.ctx.reporter
    check_writable(session.project.root)
    tags = {PROJECT_TAG: session.tag}
    location = session.target.cloud.location
    reporter.step(Step(text("infra.deploying", kind=prepared.kind, group=prepared.group)))
    await cloud.provisioner.ensure_group(prepared.group, location, tags)
    async with _told_progress(session, prepared):
        done = await cloud.provisioner.deploy(prepared.group, prepared.deployment)
    outputs = write_outputs(session.project.root, prepared.kind, done.outputs)
    group_id = f"/subscriptions/{cloud.profile.subscription_id}/resourceGroups/{prepared.group}"
    reporter.step(Step(text("infra.deployed", kind=prepared.kind, file=config_file(prepared.kind))))
    return InfraResult(
        prepared.kind, prepared.plan, True, outputs, portal_link(cloud.profile, group_id)
    )


@asynccontextmanager
async def _told_progress(session: Session, prepared: Prepared) -> AsyncGenerator[None]:
    """Tell, while the block deploys, which resources are done; a failure to tell is no matter."""

    async def tell() -> None:
        group, name = prepared.group, prepared.deployment.name
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            with suppress(TunesmithError):
                found = await session.cloud.provisioner.progress(group, name)
                done = [subject for subject, state in found if state == "Succeeded"]
                if found:
                    sentence = text("infra.progress", done=len(done), name=found[0][0])
                    session.ctx.reporter.step(Step(sentence, len(done), len(found)))

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling


def _shared_names(session: Session, kind: Kind) -> dict[str, Any]:
    """Serving reads the share that training wrote, whatever names that was provisioned under."""
    trained = session.project.provisioned("finetuning")
    if kind == "finetuning" or trained is None:
        return {}
    return {"storageAccountName": trained.account, "fileShareName": trained.share}


async def _api_key(session: Session, group: str, is_new_group: bool) -> str:
    """Return the app's key as it is, or a new one: never written anywhere but into the app."""
    app = session.project.provisioned("inference")
    if app is not None and not is_new_group:
        known = await session.cloud.hosting(group).secret(app.app, API_KEY_SECRET)
        if known:
            return known
    return secrets.token_urlsafe(32)


def _changed(change: ResourceChange) -> PlanRow:
    actions: Mapping[str, Action] = {
        "create": "create",
        "modify": "update",
        "delete": "delete",
        "same": "keep",
    }
    detail = ", ".join(change.properties[:4])
    about = f"{change.type}: {detail}" if detail else change.type
    return PlanRow(actions.get(change.change, "keep"), change.name, about)
