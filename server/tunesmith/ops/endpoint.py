"""Operations on the inference app: deploy, status, open, stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.core.endpoints import Endpoint, EndpointDeployed, EndpointLink
from tunesmith.ops.registry import ProjectParams, arg, operation

if TYPE_CHECKING:
    from tunesmith.ops.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy(ProjectParams):
    """Serve one finished run."""

    run: str | None = arg(
        "run id (default: the newest that succeeded)", default=None, positional=True
    )
    dry_run: bool = arg("only show the plan", default=False)


@operation(
    "endpoint/deploy",
    Deploy,
    EndpointDeployed,
    long=True,
    confirm=True,
    still_running="running.endpoint",
)
async def deploy(ctx: Context, p: Deploy) -> EndpointDeployed:
    """Provision what is missing, serve a run and wait until it answers."""
    raise NotImplementedError


@operation("endpoint/status", ProjectParams, Endpoint)
async def status(ctx: Context, p: ProjectParams) -> Endpoint:
    """Show the endpoint's address, health and what it serves."""
    raise NotImplementedError


@operation("endpoint/open", ProjectParams, EndpointLink)
async def open_link(ctx: Context, p: ProjectParams) -> EndpointLink:
    """Make a one-time link that opens the chat page signed in."""
    raise NotImplementedError


@operation("endpoint/stop", ProjectParams, Endpoint, long=True, still_running="running.endpoint")
async def stop(ctx: Context, p: ProjectParams) -> Endpoint:
    """Stop the endpoint; deploy starts it again."""
    raise NotImplementedError
