"""What a finished run is good for: compared with its base, served, its page opened."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import aiohttp
import pytest
import tunesmith.ops.deploying
from local_target import edit_json
from tunesmith.core.errors import EndpointError, RunError
from tunesmith.ops import endpoint, run
from tunesmith.ops.endpoint import Deploy
from tunesmith.ops.registry import ProjectParams
from tunesmith.ops.run import Compare, Logs, OneRun, Start
from tunesmith.ops.session import open_session

SUPPORT = Path(__file__).resolve().parents[1] / "support"


async def finished_run(ctx, project):
    started = (await run.start(ctx, Start(project=str(project)))).run
    await run.logs(ctx, Logs(project=str(project), run=started.id, follow=True))
    return started.id


@pytest.fixture
def comparing(project):
    shutil.copyfile(SUPPORT / "tiny_compare.py", project / "finetuning/compare.py")
    return project


async def test_compare_asks_once_and_again_when_told(ctx, comparing):
    run_id = await finished_run(ctx, comparing)
    params = {"project": str(comparing), "run": run_id}
    planned = await run.compare(ctx, Compare(**params, dry_run=True))
    assert (planned.applied, planned.plan.rows[0].action) == (False, "run")
    first = await run.compare(ctx, Compare(**params))
    assert (first.facts_total, first.facts_base, first.facts_tuned) == (1, 0, 1)
    assert (first.answers[0].tuned, first.answers[0].expected) == ("27 months", ("27 months",))
    assert "asking" in [line.text for line in ctx.reporter.lines]
    known = await run.compare(ctx, Compare(**params))
    assert known.plan.rows[0].action == "keep"
    assert known.answers == first.answers
    again = await run.compare(ctx, Compare(**params, again=True))
    assert (first.details["attempt"], again.details["attempt"]) == ("1", "2")
    shown = await run.show(ctx, OneRun(project=str(comparing), run=run_id))
    assert shown.state == "succeeded"
    assert len(shown.executions) == 1


async def test_two_comparisons_at_once_are_one(ctx, comparing):
    run_id = await finished_run(ctx, comparing)
    compare = Compare(project=str(comparing), run=run_id)
    one, two = await asyncio.gather(run.compare(ctx, compare), run.compare(ctx, compare))
    assert one.answers == two.answers
    assert one.details == two.details == {"attempt": "1"}


async def test_a_comparison_that_fails_says_so(ctx, comparing):
    run_id = await finished_run(ctx, comparing)
    async with open_session(ctx, ProjectParams(project=str(comparing))) as session:
        files = await session.files()
        await files.write(f"runs/{run_id}/compare/fail", b"")
    with pytest.raises(RunError) as caught:
        await run.compare(ctx, Compare(project=str(comparing), run=run_id))
    assert caught.value.code == "run.compareFailed"
    assert "exit code 3" in caught.value.message


async def test_only_a_run_that_succeeded_can_be_compared_or_served(ctx, comparing):
    from local_target import COMMANDS, set_commands

    set_commands(comparing, [COMMANDS[0], f"FAIL_AT=1 {COMMANDS[1]}"])
    run_id = await finished_run(ctx, comparing)
    with pytest.raises(RunError) as caught:
        await run.compare(ctx, Compare(project=str(comparing), run=run_id))
    assert caught.value.code == "run.notComparable"
    with pytest.raises(EndpointError) as refused:
        await endpoint.deploy(ctx, Deploy(project=str(comparing), run=run_id))
    assert refused.value.code == "endpoint.runNotServable"


async def health(url):
    async with aiohttp.ClientSession() as http, http.get(f"{url}/health") as answer:
        return await answer.json()


async def test_an_endpoint_from_deploy_to_stop(ctx, project, places, monkeypatch):
    monkeypatch.setattr(tunesmith.ops.deploying, "HEALTHY_WITHIN_S", 90.0)
    shutil.copyfile(SUPPORT / "tiny_app.py", project / "inference/tiny_app.py")
    commands = ['cd "${AZUREBOX_MOUNT:-/mount}"', "exec python3 inference/tiny_app.py"]
    edit_json(
        project / "infra/provision/inference.parameters.json",
        lambda c: c["parameters"].update(defaultCommands={"value": commands}),
    )
    params = ProjectParams(project=str(project))
    assert (await endpoint.status(ctx, params)).state == "absent"
    with pytest.raises(EndpointError) as caught:
        await endpoint.open_link(ctx, params)
    assert caught.value.code == "endpoint.notDeployed"

    run_id = await finished_run(ctx, project)
    planned = await endpoint.deploy(ctx, Deploy(project=str(project), dry_run=True))
    assert (planned.applied, planned.plan.rows[-1].subject) == (False, run_id)
    deployed = (await endpoint.deploy(ctx, Deploy(project=str(project)))).endpoint
    assert (deployed.state, deployed.run_id, deployed.base_model) == ("healthy", run_id, "tiny")
    assert deployed.url.startswith("http://127.0.0.1:")
    assert (await health(deployed.url))["run_id"] == run_id

    link = await endpoint.open_link(ctx, params)
    assert (link.url, link.expires_in_s) == (f"{deployed.url}/auth/once", 60)

    async with open_session(ctx, params) as session:
        key = await session.hosting().secret(deployed.name, "api-key")
    newer = await finished_run(ctx, project)
    again = (await endpoint.deploy(ctx, Deploy(project=str(project)))).endpoint
    assert (again.state, again.run_id, again.url) == ("healthy", newer, deployed.url)
    async with open_session(ctx, params) as session:
        assert await session.hosting().secret(deployed.name, "api-key") == key

    assert_nowhere(key, project, places[0])
    stopped = await endpoint.stop(ctx, params)
    assert stopped.state == "stopped"
    assert (await endpoint.status(ctx, params)).state == "stopped"
    assert (await endpoint.stop(ctx, params)).state == "stopped"
    back = (await endpoint.deploy(ctx, Deploy(project=str(project), run=run_id))).endpoint
    assert (back.state, back.run_id) == ("healthy", run_id)
    await endpoint.stop(ctx, params)


def assert_nowhere(key, project, home):
    """No file of the project and no log has the key; azurebox's own database does, as Azure's."""
    assert key
    for root in (project, home):
        for file in root.rglob("*"):
            if file.is_file() and not file.name.startswith("resources.sqlite3"):
                assert key.encode() not in file.read_bytes(), file


async def test_status_of_a_config_without_its_app(ctx, project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    names = json.loads((copy / "infra/finetuning.config.json").read_text())
    (copy / "infra/inference.config.json").write_text(
        json.dumps({**names, "ACA_APP_NAME": "gone", "ACA_APP_ENDPOINT": "127.0.0.1:1"})
    )
    found = await endpoint.status(ctx, ProjectParams(project=str(copy)))
    assert (found.state, found.url) == ("absent", "")
    assert "gone" in found.detail
