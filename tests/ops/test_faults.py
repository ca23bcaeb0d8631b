"""The cloud refuses, stalls or loses an answer: nothing is lost and nothing is done twice."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager

import aiohttp
import pytest
from tunesmith.azure.credentials import credential_of
from tunesmith.core.errors import AuthError, InfraError
from tunesmith.ops import infra, run, run_start
from tunesmith.ops.infra import Apply
from tunesmith.ops.registry import ProjectParams
from tunesmith.ops.run import Logs, OneRun, Start
from tunesmith.ops.session import azurebox_home, open_session


@asynccontextmanager
async def fault(ctx, project, **wanted):
    """Ask azurebox for one fault; whatever is left of it afterwards is taken back."""
    async with open_session(ctx, ProjectParams(project=str(project))) as session:
        profile = session.target.cloud
    credential = credential_of(profile, azurebox_home(ctx).state)
    async with credential:
        token = (await credential.get_token(profile.arm_scope)).token
    verify = ssl.create_default_context(cafile=profile.ca_file)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        url = f"{profile.arm_url}/_box/faults"
        async with http.post(url, json=wanted, ssl=verify) as answer:
            assert answer.status == 201, await answer.text()
        try:
            yield
        finally:
            async with http.delete(url, ssl=verify):
                pass


async def until(is_so):
    for _ in range(1500):
        if is_so():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("waited in vain")


@pytest.mark.parametrize(
    ("status", "code", "error", "ours"),
    [
        (403, "AuthorizationFailed", AuthError, "auth.forbidden"),
        (409, "DeploymentActive", InfraError, "infra.conflict"),
        (400, "QuotaExceeded", InfraError, "infra.quota"),
        (409, "MissingSomething", InfraError, "infra.refused"),
    ],
)
async def test_a_refused_deployment_leaves_the_config_alone(
    ctx, fresh_project, status, code, error, ours
):
    before = (fresh_project / "infra/finetuning.config.json").read_bytes()
    wanted = {"match": "PUT .*/deployments/", "status": status, "code": code, "message": "why"}
    async with fault(ctx, fresh_project, **wanted):
        with pytest.raises(error) as caught:
            await infra.apply(ctx, Apply(project=str(fresh_project)))
    assert caught.value.code == ours
    assert "why" in caught.value.message
    assert (fresh_project / "infra/finetuning.config.json").read_bytes() == before
    await infra.destroy(ctx, infra.Destroy(project=str(fresh_project)))
    assert not (await infra.status(ctx, ProjectParams(project=str(fresh_project)))).exists


async def test_a_throttled_request_is_tried_again(ctx, project):
    wanted = {
        "match": "GET .*/executions",
        "status": 429,
        "code": "TooManyRequests",
        "retryAfter": 1,
    }
    async with fault(ctx, project, **wanted):
        await run.list_runs(ctx, ProjectParams(project=str(project)))


async def test_a_cancelled_apply_is_joined_by_the_next(ctx, fresh_project):
    async with fault(ctx, fresh_project, match="GET .*operationStatuses", delay_s=2.0):
        applying = asyncio.create_task(infra.apply(ctx, Apply(project=str(fresh_project))))
        await asyncio.sleep(1.5)
        applying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await applying
    config = json.loads((fresh_project / "infra/finetuning.config.json").read_text())
    assert config["ACA_JOB_NAME"] is None
    applied = await infra.apply(ctx, Apply(project=str(fresh_project)))
    assert applied.outputs["ACA_JOB_NAME"]
    await infra.destroy(ctx, infra.Destroy(project=str(fresh_project)))


async def test_a_start_whose_answer_is_lost_makes_no_second_run(ctx, project, monkeypatch):
    monkeypatch.setattr(run_start, "TAKE_OVER_AFTER_S", 2.0)
    start = Start(project=str(project), run="lost-answer")
    async with fault(ctx, project, match="POST .*/jobs/.*/start", delay_s=0.6):
        starting = asyncio.create_task(run.start(ctx, start))
        await until(lambda: any("Starting run" in s.message for s in ctx.reporter.steps))
        await asyncio.sleep(0.3)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    shown = await run.show(ctx, OneRun(project=str(project), run="lost-answer"))
    assert shown.state in ("created", "queued", "running", "succeeded")
    await run.start(ctx, start)
    page = await run.logs(ctx, Logs(project=str(project), run="lost-answer", follow=True))
    assert page.run.state == "succeeded"
    steps = [e.data["step"] for e in ctx.reporter.events if e.kind == "progress"]
    assert steps == [1, 2, 3, 4]
    runs = (await run.list_runs(ctx, ProjectParams(project=str(project)))).runs
    assert [r.id for r in runs].count("lost-answer") == 1
