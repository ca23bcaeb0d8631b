"""The local target: its process and its images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.core.errors import TargetError
from tunesmith.core.json_values import words
from tunesmith.core.messages import text
from tunesmith.core.reporter import Step
from tunesmith.core.size_text import size_text
from tunesmith.core.targets import ImageStatus, TargetStatus
from tunesmith.ops.session import azurebox_home

if TYPE_CHECKING:
    from tunesmith.azure.azurebox_process import AzureboxHome
    from tunesmith.ops.context import Context

NEEDED = ("training", "inference")
"""The images that a project's own templates run."""


def only_local(target: str) -> None:
    """Refuse what cannot be looked at without a project.

    Raises: TargetError("target.unknown" | "target.needsNoPreparing").
    """
    if target == "azure":
        raise TargetError("target.needsNoPreparing", target=target)
    if target != "local":
        raise TargetError("target.unknown", target=target, known="local, azure")


async def local_status(ctx: Context) -> TargetStatus:
    """Look at process and images; starts nothing."""
    from tunesmith.azure import azurebox_process

    home = azurebox_home(ctx)
    facts = azurebox_process.find_running(home)
    images = await _needed_images(home)
    missing = [i.name for i in images if not i.ready]
    if missing:
        return TargetStatus(
            "local",
            "unprepared",
            text("target.imagesMissing", names=", ".join(missing)),
            words((facts or {}).get("arm_url")),
            images,
        )
    if not facts:
        return TargetStatus("local", "stopped", text("target.stopped"), "", images)
    return TargetStatus("local", "ready", text("target.ready"), words(facts.get("arm_url")), images)


async def prepare_local(ctx: Context) -> TargetStatus:
    """Fetch the images that are missing, then start the process.

    Cancelled, the image that was being built is built anew the next time; finished ones stay.
    """
    from tunesmith.azure import azurebox_process

    home = azurebox_home(ctx)
    missing = [i for i in await _needed_images(home) if not i.ready]
    if missing:
        ctx.reporter.step(Step(text("target.willDownload", what=_sizes(missing))))
    for index, image in enumerate(missing):

        def say(line: str, index: int = index) -> None:
            ctx.reporter.step(Step(line, index, len(missing)))

        await azurebox_process.pull(home, image.name, say)
        ctx.reporter.step(Step(text("target.pulled", image=image.name), index + 1, len(missing)))
    _, is_new = await azurebox_process.ensure_running(home)
    if is_new:
        ctx.reporter.step(Step(text("target.started")))
    return await local_status(ctx)


async def _needed_images(home: AzureboxHome) -> tuple[ImageStatus, ...]:
    from tunesmith.azure.azurebox_process import images

    return tuple(image for image in await images(home) if image.name in NEEDED)


def _sizes(images: list[ImageStatus]) -> str:
    unknown = text("target.sizeUnknown")
    sizes = [size_text(i.download_bytes) if i.download_bytes else unknown for i in images]
    return ", ".join(f"{i.name} ({size})" for i, size in zip(images, sizes, strict=True))
