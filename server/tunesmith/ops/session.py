"""What an operation on a project works with: the folder, the target and its cloud, connected."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tunesmith.core.errors import Fix, InfraError, TargetError, TunesmithError
from tunesmith.core.infra_config import Kind, Provisioned, config_file
from tunesmith.core.json_values import words
from tunesmith.core.messages import text
from tunesmith.core.ports import Files, Group, Hosting, Runner
from tunesmith.core.project_name import resource_group_name
from tunesmith.core.reporter import Step
from tunesmith.core.targets import Target, azure_profile, azurebox_profile
from tunesmith.ops.refusals import refuse_config
from tunesmith.workspace.project_folder import ProjectFolder, read_project

if TYPE_CHECKING:
    from tunesmith.azure.azurebox_process import AzureboxHome
    from tunesmith.azure.cloud import Cloud
    from tunesmith.ops.context import Context
    from tunesmith.ops.registry import ProjectParams

T = TypeVar("T")

PROJECT_TAG = "tunesmith-project"
"""Tag of a resource group that Tunesmith made: the id of the project it was made for."""
AWAY_AT_MOST_S = 60.0
"""How long an operation that only watches waits for a target that went away."""


@dataclass(frozen=True, slots=True)
class Session:
    """Open as long as the `open_session` block. Nothing here is kept between operations."""

    ctx: Context
    project: ProjectFolder
    target: Target
    cloud: Cloud

    def provisioned(self, kind: Kind = "finetuning") -> Provisioned:
        """Return the names that `kind` was provisioned under.

        Raises: InfraError("infra.missing" | "infra.otherTarget"), the latter when the config file
        names another subscription than this target's, and what `refuse_broken_config` raises.
        """
        self.refuse_unusable_config(kind)
        found = self.project.provisioned(kind)
        if found is None:
            raise InfraError(
                "infra.missing",
                kind=kind,
                fix=Fix(
                    text("fixes.provision"),
                    "infra/apply",
                    {"project": str(self.project.root), "kind": kind},
                ),
            )
        return found

    def refuse_unusable_config(self, *kinds: Kind) -> None:
        """Refuse config files that are broken or name resources of another subscription.

        Raises: InfraError("infra.otherTarget") and what `refuse_broken_config` raises.
        """
        ours = self.target.cloud.subscription_id.lower()
        for kind in kinds:
            self.refuse_broken_config(kind)
            named = words(self.project.infra[kind].get("SUBSCRIPTION_ID"))
            if named and named.lower() != ours:
                raise InfraError("infra.otherTarget", kind=kind, target=self.target.name)

    def refuse_foreign_group(self, group: Group | None) -> None:
        """Refuse to change a resource group that Tunesmith made for another project.

        Its config file was copied then. Raises: InfraError("infra.otherProject").
        """
        if group and group.tags.get(PROJECT_TAG, self.tag) != self.tag:
            raise InfraError("infra.otherProject", group=group.name)

    @property
    def tag(self) -> str:
        """What PROJECT_TAG says on a resource group of this project."""
        return words(self.project.identity.get("id")) or self.project.name

    def refuse_broken_config(self, kind: Kind) -> None:
        """Refuse a config file that is there but cannot be read: it may hold a user's COMMANDS.

        Raises: ProjectError("project.configInvalid" | "project.fileUnusable").
        """
        name = config_file(kind)
        if (self.project.root / name).exists():
            refuse_config(p for p in self.project.problems if p.file == name)

    async def files(self, kind: Kind = "finetuning") -> Files:
        """Return the project's file share."""
        names = self.provisioned(kind)
        return await self.cloud.files(names.group, names.account, names.share)

    def runner(self) -> Runner:
        """Return the project's jobs."""
        return self.cloud.runner(self.provisioned().group)

    def hosting(self) -> Hosting:
        """Return the project's apps."""
        return self.cloud.hosting(self.provisioned("inference").group)

    async def group(self) -> tuple[str, Group | None]:
        """Return the name of the project's resource group and the group, None before it is made.

        A group of that name that another project made is left alone: the name then gets a part of
        our id. Once provisioned, and where the user chose a group, the name is what the files say.
        """
        name = self.target.cloud.resource_group
        found = await self.cloud.provisioner.group(name)
        ours = words(self.project.identity.get("id"))
        is_fixed = name != default_name(self.project) or provisioned_group(self.project)
        if found and ours and not is_fixed and found.tags.get(PROJECT_TAG, ours) != ours:
            name = resource_group_name(self.project.name, ours, is_taken=True)
            found = await self.cloud.provisioner.group(name)
        return name, found

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what `ask` returns; wait out an absence of the target, up to a minute.

        The local target is started again when it has died: the processes of its runs live on, and
        it takes them back. Raises: what `ask` raises, when it is no absence or lasts too long.
        """
        deadline = time.monotonic() + AWAY_AT_MOST_S
        while True:
            try:
                return await ask()
            except TunesmithError as e:
                if not e.retryable or time.monotonic() > deadline:
                    raise
            if self.target.name == "local":
                from tunesmith.azure.azurebox_process import ensure_running

                _, is_new = await ensure_running(azurebox_home(self.ctx))
                if is_new:
                    self.ctx.reporter.warn(text("target.restarted"))
            await asyncio.sleep(0.5)


def azurebox_home(ctx: Context) -> AzureboxHome:
    """Return the local target's folders."""
    from tunesmith.azure.azurebox_process import AzureboxHome

    return AzureboxHome.of(ctx.home, ctx.cache)


@asynccontextmanager
async def open_session(ctx: Context, p: ProjectParams) -> AsyncGenerator[Session]:
    """Read the project, reach its target (the local one is started when it is not up) and connect.

    Raises: ProjectError("project.notFound"), TargetError.
    """
    project = read_project(p.project)
    target = await reach_target(ctx, project, p.target)
    from tunesmith.azure.cloud import connect  # the SDKs take most of a second to import

    async with connect(target.cloud, azurebox_home(ctx).state) as cloud:
        yield Session(ctx, project, target, cloud)


async def reach_target(ctx: Context, project: ProjectFolder, name: str | None) -> Target:
    """Return the target by name, or the one that the project has selected, or `local`.

    Raises: TargetError("target.unknown" | "target.incomplete" | "target.startFailed").
    """
    name = name or words(project.target.get("name")) or "local"
    group = provisioned_group(project) or default_name(project)
    if name == "local":
        from tunesmith.azure.azurebox_process import ensure_running

        facts, is_new = await ensure_running(azurebox_home(ctx))
        if is_new:
            ctx.reporter.step(Step(text("target.started")))
        return Target("local", "aca", azurebox_profile(facts, group))
    if name == "azure":
        chosen = project.target
        subscription = words(chosen.get("subscription_id")) or os.environ.get(
            "AZURE_SUBSCRIPTION_ID", ""
        )
        location = words(chosen.get("location")) or os.environ.get("AZURE_LOCATION", "")
        found = project.provisioned("finetuning")
        if not subscription and found:
            subscription = found.subscription
        if not subscription or not (location or found):
            raise TargetError("target.incomplete", target=name)
        group = (
            words(chosen.get("resource_group")) or os.environ.get("AZURE_RESOURCE_GROUP") or group
        )
        return Target("azure", "aca", azure_profile(subscription, group, location))
    raise TargetError("target.unknown", target=name, known="local, azure")


def provisioned_group(project: ProjectFolder) -> str:
    """Return the resource group that the config files name, "" when none does."""
    found = project.provisioned("finetuning") or project.provisioned("inference")
    return found.group if found else ""


def default_name(project: ProjectFolder) -> str:
    """Return the name that the project's resource group gets when nobody else has it."""
    return resource_group_name(project.name, words(project.identity.get("id")))
