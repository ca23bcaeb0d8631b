"""How a project is taken down: what its own deployments made, leaves first, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.core.infra import type_of
from tunesmith.core.infra_config import KINDS
from tunesmith.core.json_values import items, mapping, words
from tunesmith.core.messages import text
from tunesmith.core.plan import Plan, PlanRow
from tunesmith.core.reporter import Step
from tunesmith.ops.provisioning import deployment_name
from tunesmith.ops.session import PROJECT_TAG, Session
from tunesmith.workspace.infra_files import (
    check_writable,
    clear_outputs,
    has_outputs,
    load_template,
)

_ORDER = (
    "microsoft.app/containerapps",
    "microsoft.app/jobs",
    "microsoft.app/managedenvironments",
    "microsoft.operationalinsights/workspaces",
    "microsoft.storage/storageaccounts",
)


@dataclass(frozen=True, slots=True)
class Doomed:
    """What would go: top-level resources with the api-version to delete them by, leaves first."""

    plan: Plan
    group: str
    whole_group: bool
    resources: tuple[tuple[str, str], ...]


async def plan_destroy(session: Session) -> Doomed:
    """Find what the project's deployments made.

    The group itself goes when the project made it and nothing else is in it. In a group that the
    user chose, another project may have deployed too: there, this project's record of a deployment
    decides. Raises: InfraError("infra.otherTarget" | "infra.otherProject"), ProjectError.
    """
    session.refuse_unusable_config(*KINDS)
    name, group = await session.group()
    session.refuse_foreign_group(group)
    made_by_us = group is not None and PROJECT_TAG in group.tags
    provisioner = session.cloud.provisioner
    ids: dict[str, str] = {}
    for kind in KINDS if group else ():
        if not made_by_us and not has_outputs(session.project.root, kind):
            continue
        done = await provisioner.deployed(name, deployment_name(kind))
        for resource_id in done.resource_ids if done else ():
            ids.setdefault(resource_id.lower(), resource_id)
    present = {words(r.get("id")).lower(): r for r in await provisioner.resources(name)}
    ours = [i for key, i in ids.items() if key in present and _is_top_level(i)]
    ours.sort(key=lambda i: _rank(type_of(i)))
    others = [key for key in present if key not in ids and _is_top_level(key)]
    whole = made_by_us and not others
    rows = [PlanRow("delete", i.rpartition("/")[2], type_of(i)) for i in ours]
    if whole:
        rows.append(PlanRow("delete", name, text("infra.row.group")))
    rows += [
        PlanRow("keep", words(present[k].get("name")), text("infra.row.notOurs")) for k in others
    ]
    versions = _api_versions(session)
    plan = Plan(
        title=text("infra.destroyTitle", group=name, target=session.target.name),
        rows=tuple(rows),
        cost=text("infra.cost.destroy"),
        warnings=(text("infra.destroyWarning"),) if ours else (),
    )
    resources = tuple((i, versions.get(type_of(i).lower(), "")) for i in ours)
    return Doomed(plan, name, whole, resources)


async def apply_destroy(session: Session, doomed: Doomed) -> None:
    """Delete, then clear infra/*.config.json. Doing it again after an interruption goes on."""
    provisioner, reporter = session.cloud.provisioner, session.ctx.reporter
    check_writable(session.project.root)
    total = len(doomed.resources) + int(doomed.whole_group)
    for index, (resource_id, api_version) in enumerate(doomed.resources):
        reporter.step(
            Step(text("infra.deleting", name=resource_id.rpartition("/")[2]), index, total)
        )
        await provisioner.delete_resource(resource_id, api_version)
    if doomed.whole_group:
        reporter.step(Step(text("infra.deleting", name=doomed.group), total - 1, total))
        await provisioner.delete_group(doomed.group)
    for kind in KINDS:
        clear_outputs(session.project.root, kind)


def _api_versions(session: Session) -> dict[str, str]:
    """Return the api-version of each type, as the project's own templates deploy it."""
    versions: dict[str, str] = {}
    for kind in KINDS:
        _collect(load_template(session.project.root, kind).template, versions)
    return versions


def _collect(template: Mapping[str, Any], versions: dict[str, str]) -> None:
    resources = template.get("resources")
    for resource in [*mapping(resources).values(), *items(resources)]:
        body = mapping(resource)
        versions.setdefault(words(body.get("type")).lower(), words(body.get("apiVersion")))
        nested = mapping(mapping(body.get("properties")).get("template"))
        if nested:
            _collect(nested, versions)


def _is_top_level(resource_id: str) -> bool:
    return type_of(resource_id).count("/") == 1 and not type_of(resource_id).lower().startswith(
        "microsoft.resources/"
    )


def _rank(type_: str) -> int:
    lowered = type_.lower()
    return _ORDER.index(lowered) if lowered in _ORDER else len(_ORDER)
