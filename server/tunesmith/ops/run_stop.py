"""How a run is stopped: SIGTERM through the cloud, then waiting for the checkpoint it saves."""

from __future__ import annotations

import asyncio
import time

from tunesmith.core.errors import RunError
from tunesmith.core.messages import text
from tunesmith.core.reporter import Step
from tunesmith.core.run_state import is_final
from tunesmith.core.runs import Run
from tunesmith.ops.run_folder import read_run
from tunesmith.ops.session import Session

WAIT_S = 90.0
"""The service's 30 s between SIGTERM and SIGKILL, twice, and time for a slow share."""


async def stop_run(session: Session, run: Run) -> Run:
    """Stop what of the run is alive and wait for its end. A run that has ended stays as it is.

    Cancelled after the request, the run ends all the same. Raises: RunError("run.stopSlow").
    """
    if is_final(run.state):
        session.ctx.reporter.step(
            Step(text("run.alreadyEnded", run=run.id, state=text(f"run.state.{run.state}")))
        )
        return run
    runner, job = session.runner(), session.provisioned().job
    session.ctx.reporter.step(Step(text("run.stoppingNow", run=run.id)))
    mine = [e for e in await runner.executions(job) if e.name in run.executions and not e.is_over]
    await asyncio.gather(*(runner.stop(job, e.name) for e in mine))
    run_id = run.id
    deadline = time.monotonic() + WAIT_S
    pause_s = 0.1
    while time.monotonic() < deadline:
        run = await session.patiently(lambda: read_run(session, run_id))
        if is_final(run.state) or run.state == "created":
            return run
        await asyncio.sleep(pause_s)
        pause_s = min(1.0, pause_s * 1.5)
    raise RunError("run.stopSlow", run=run.id)
