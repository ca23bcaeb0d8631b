"""How a run gets served: the app provisioned with the run's id, then waited for till it answers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

from tunesmith.core.endpoints import Endpoint
from tunesmith.core.errors import EndpointError
from tunesmith.core.messages import text
from tunesmith.core.plan import Plan, PlanRow
from tunesmith.core.reporter import Step
from tunesmith.core.runs import Run
from tunesmith.ops.endpoint_health import read_endpoint
from tunesmith.ops.provisioning import Prepared, apply_provisioning, plan_provisioning
from tunesmith.ops.pushing import PreparedPush, apply_push, prepare_push, push_row, shown
from tunesmith.ops.run_folder import checked_id, read_run, read_runs
from tunesmith.ops.session import Session
from tunesmith.workspace.project_folder import read_project

HEALTHY_WITHIN_S = 1200.0
"""On a fresh machine the image is pulled and the model loaded first."""
DEAD_AFTER_S = 20.0
"""How long an app may be "failed" before it counts: a new revision starts beside the old one."""


@dataclass(frozen=True, slots=True)
class PreparedDeploy:
    """A deployment of one run, ready to go."""

    plan: Plan
    run: Run
    provisioning: Prepared
    push: PreparedPush


async def plan_deploy(session: Session, run_id: str | None) -> PreparedDeploy:
    """Choose the run and say what serving it would change.

    Raises: EndpointError("endpoint.noRun" | "endpoint.runNotServable").
    """
    if run_id is None:
        done = [r for r in await read_runs(session) if r.state == "succeeded" and r.artifact]
        if not done:
            raise EndpointError("endpoint.noRun")
        run = done[0]
    else:
        run = await read_run(session, checked_id(run_id))
        if run.state != "succeeded" or not run.artifact:
            raise EndpointError(
                "endpoint.runNotServable", run=run.id, state=text(f"run.state.{run.state}")
            )
    provisioning = await plan_provisioning(session, "inference", {"runId": run.id})
    push = await prepare_push(session)
    serve = PlanRow("run", run.id, text("endpoint.plan.serve", model=run.model))
    plan = replace(
        provisioning.plan,
        title=text("endpoint.plan.title", run=run.id),
        rows=(push_row(shown(push)), *provisioning.plan.rows, serve),
        warnings=(*provisioning.plan.warnings, *push.plan.warnings),
    )
    return PreparedDeploy(plan, run, provisioning, push)


async def apply_deploy(session: Session, prepared: PreparedDeploy) -> Endpoint:
    """Push the app's code, deploy, start it if it was stopped, wait until it answers for this run.

    Cancelled, the app goes on starting.
    Raises: EndpointError("endpoint.unhealthy" | "endpoint.slow").
    """
    await apply_push(await session.files(), prepared.push, session.ctx.reporter)
    await apply_provisioning(session, prepared.provisioning)
    session = replace(session, project=read_project(str(session.project.root)))
    names = session.provisioned("inference")
    app = await session.hosting().app(names.app)
    if app is not None and app.state == "stopped":
        session.ctx.reporter.step(Step(text("endpoint.starting", app=names.app)))
        await session.hosting().start(names.app)
    return await _wait(session, prepared.run.id)


async def _wait(session: Session, run_id: str) -> Endpoint:
    deadline = time.monotonic() + HEALTHY_WITHIN_S
    failed_since: float | None = None
    said, pause_s = "", 0.3
    while time.monotonic() < deadline:
        found = await session.patiently(lambda: read_endpoint(session))
        if found.state == "healthy" and found.run_id == run_id:
            return found
        if found.state == "unhealthy":
            failed_since = failed_since or time.monotonic()
            if time.monotonic() - failed_since > DEAD_AFTER_S:
                raise EndpointError(
                    "endpoint.unhealthy", app=found.name, detail=found.detail or "-"
                )
        else:
            failed_since = None
        news = found.detail or text("endpoint.starting", app=found.name)
        if news != said:
            session.ctx.reporter.step(Step(news))
            said = news
        await asyncio.sleep(pause_s)
        pause_s = min(2.0, pause_s * 1.2)
    raise EndpointError("endpoint.slow", run=run_id, minutes=int(HEALTHY_WITHIN_S // 60))
