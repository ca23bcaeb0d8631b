"""Operations on the inference app: deploy, status, open, ask, stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.core.endpoints import Endpoint, EndpointAnswer, EndpointDeployed, EndpointLink
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
    from tunesmith.ops.deploying import apply_deploy, plan_deploy
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        prepared = await plan_deploy(session, p.run)
        if p.dry_run:
            return EndpointDeployed(prepared.plan, False, None)
        return EndpointDeployed(prepared.plan, True, await apply_deploy(session, prepared))


@operation("endpoint/status", ProjectParams, Endpoint)
async def status(ctx: Context, p: ProjectParams) -> Endpoint:
    """Show the endpoint's address, health and what it serves."""
    from tunesmith.ops.endpoint_health import read_endpoint
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        return await read_endpoint(session)


@operation("endpoint/open", ProjectParams, EndpointLink)
async def open_link(ctx: Context, p: ProjectParams) -> EndpointLink:
    """Make a one-time link that opens the chat page signed in."""
    from tunesmith.ops.endpoint_health import make_link
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        return await make_link(session)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask(ProjectParams):
    """One question, without a conversation around it."""

    question: str = arg("what to ask", positional=True)
    base: bool = arg("ask the base model instead of the tuned one", default=False)


@operation("endpoint/ask", Ask, EndpointAnswer, still_running="running.nothing")
async def ask(ctx: Context, p: Ask) -> EndpointAnswer:
    """Ask the endpoint one question over its API."""
    from tunesmith.ops.endpoint_ask import ask_endpoint
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        return await ask_endpoint(session, p.question, base=p.base)


@operation("endpoint/stop", ProjectParams, Endpoint, long=True, still_running="running.endpoint")
async def stop(ctx: Context, p: ProjectParams) -> Endpoint:
    """Stop the endpoint, without asking; deploy starts it again."""
    from tunesmith.ops.endpoint_health import read_endpoint
    from tunesmith.ops.session import open_session

    async with open_session(ctx, p) as session:
        found = await read_endpoint(session)
        if found.state in ("absent", "stopped"):
            return found
        await session.hosting().stop(session.provisioned("inference").app)
        return await read_endpoint(session)
