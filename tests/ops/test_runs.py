"""Runs on the local target: started once, followed, stopped, resumed, lost and found again."""

from __future__ import annotations

import asyncio
import json
import os
import shutil

import psutil
import pytest
from local_target import COMMANDS, edit_json, kill_azurebox, set_commands
from tunesmith.core.errors import DatasetError, InfraError, ProjectError, RunError
from tunesmith.core.reporter import RecordingReporter
from tunesmith.core.run_state import is_final
from tunesmith.ops import infra, run
from tunesmith.ops.context import Context
from tunesmith.ops.run import Logs, OneRun, Resume, Start
from tunesmith.ops.run_folder import executions_of
from tunesmith.ops.session import open_session


async def follow(ctx, project, run_id=None, cursor=0):
    return await run.logs(ctx, Logs(project=str(project), run=run_id, follow=True, cursor=cursor))


async def wait_for_step(ctx, project, run_id, step):
    while True:
        found = await run.show(ctx, OneRun(project=str(project), run=run_id))
        assert not is_final(found.state), found
        if found.state == "running" and found.step >= step:
            return found
        await asyncio.sleep(0.1)


def long_commands(project, steps=400):
    set_commands(project, [COMMANDS[0], f"STEPS={steps} {COMMANDS[1]}"])


async def test_a_run_from_start_to_end(ctx, project):
    started = await run.start(ctx, Start(project=str(project)))
    assert started.applied
    assert started.run.state in ("queued", "running")
    page = await follow(ctx, project, started.run.id)
    assert (page.run.state, page.run.step, page.at_end) == ("succeeded", 4, True)
    assert page.run.artifact == f"runs/{started.run.id}/adapter"
    texts = [line.text for line in ctx.reporter.lines]
    assert [t for t in texts if t.startswith("step ")] == [f"step {n}" for n in (1, 2, 3, 4)]
    assert [line.seq for line in ctx.reporter.lines] == list(range(len(texts)))
    assert [e.data["step"] for e in ctx.reporter.events if e.kind == "progress"] == [1, 2, 3, 4]
    assert not any("::tunesmith::" in t for t in texts)
    assert "Attempt 1 is done" in texts[-1]


async def test_a_dry_run_starts_nothing(ctx, project):
    before = await run.list_runs(ctx, Logs(project=str(project)))
    planned = await run.start(ctx, Start(project=str(project), dry_run=True))
    assert not planned.applied
    assert planned.plan.rows
    assert (await run.list_runs(ctx, Logs(project=str(project)))).runs == before.runs


async def test_many_starts_of_one_id_make_one_execution(ctx, project):
    start = Start(project=str(project), run="same-id")
    answers = await asyncio.gather(*(run.start(ctx, start) for _ in range(5)))
    assert {a.run.id for a in answers} == {"same-id"}
    async with open_session(ctx, start) as session:
        listed = await session.runner().executions(session.provisioned().job)
    assert len(executions_of(listed, "same-id", "runs/same-id")) == 1
    assert (await follow(ctx, project, "same-id")).run.state == "succeeded"
    again = await run.start(ctx, start)
    assert again.run.state == "succeeded"
    assert len(again.run.executions) == 1


async def test_a_start_that_was_cut_off_is_completed(ctx, project):
    """The first starter died between making the folder and asking for the execution."""
    start = Start(project=str(project), run="cut-off")
    async with open_session(ctx, start) as session:
        files = await session.files()
        assert await files.make_directory("runs/cut-off")
    from tunesmith.ops import run_start

    was = run_start.TAKE_OVER_AFTER_S
    run_start.TAKE_OVER_AFTER_S = 0.3
    try:
        await run.start(ctx, start)
    finally:
        run_start.TAKE_OVER_AFTER_S = was
    assert (await follow(ctx, project, "cut-off")).run.state == "succeeded"


async def test_a_later_push_changes_no_run(ctx, project):
    start = await run.start(ctx, Start(project=str(project)))
    async with open_session(ctx, start_params := Start(project=str(project))) as session:
        files = await session.files()
        frozen = json.loads(await files.read(f"runs/{start.run.id}/inputs/olive-config.json"))
        request = json.loads(await files.read(f"runs/{start.run.id}/request.json"))
    assert start_params.project == str(project)
    assert frozen == json.loads((project / "finetuning/olive-config.json").read_text())
    assert request["dataset"]["path"] == "dataset/train.jsonl"
    assert request["dataset"]["rows"] == 200
    assert request["commands"] == COMMANDS
    await follow(ctx, project, start.run.id)


async def test_stop_saves_a_checkpoint_and_resume_goes_on(ctx, project):
    long_commands(project, steps=60)
    started = (await run.start(ctx, Start(project=str(project)))).run
    await wait_for_step(ctx, project, started.id, 3)
    stopped = await run.stop(ctx, OneRun(project=str(project), run=started.id))
    assert stopped.state == "stopped"
    assert stopped.can_resume
    assert stopped.step >= 3
    cursor = (await run.logs(ctx, Logs(project=str(project), run=started.id))).cursor
    plan = await run.resume(ctx, Resume(project=str(project), run=started.id, dry_run=True))
    assert str(stopped.step) in plan.plan.rows[0].detail
    resumed = await run.resume(ctx, Resume(project=str(project), run=started.id))
    assert resumed.run.state in ("queued", "running")
    page = await follow(ctx, project, started.id, cursor)
    assert page.run.state == "succeeded"
    assert len(page.run.executions) == 2
    first = next(e for e in ctx.reporter.events if e.kind == "progress")
    assert first.data["step"] == stopped.step + 1


async def test_stopping_a_run_that_has_ended_changes_nothing(ctx, project):
    started = (await run.start(ctx, Start(project=str(project)))).run
    ended = (await follow(ctx, project, started.id)).run
    assert await run.stop(ctx, OneRun(project=str(project), run=started.id)) == ended
    with pytest.raises(RunError) as caught:
        await run.resume(ctx, Resume(project=str(project), run=started.id))
    assert caught.value.code == "run.notResumable"


async def test_a_command_that_fails_before_training_is_said(ctx, project):
    set_commands(project, ["pip install no-such-thing==0 --no-index", "python3 never.py"])
    started = (await run.start(ctx, Start(project=str(project)))).run
    page = await follow(ctx, project, started.id)
    assert page.run.state == "failed"
    assert "exit code 1" in page.run.reason
    assert any("no-such-thing" in line.text for line in ctx.reporter.lines)


async def test_a_trainer_that_fails_says_why(ctx, project):
    set_commands(project, [COMMANDS[0], f"FAIL_AT=2 {COMMANDS[1]}"])
    started = (await run.start(ctx, Start(project=str(project)))).run
    page = await follow(ctx, project, started.id)
    assert (page.run.state, page.run.reason) == ("failed", "it broke at a step")


async def test_sigkill_leaves_no_run_running(ctx, project):
    long_commands(project)
    started = (await run.start(ctx, Start(project=str(project)))).run
    await wait_for_step(ctx, project, started.id, 2)
    async with open_session(ctx, OneRun(project=str(project))) as session:
        files = await session.files()
        pid = json.loads(await files.read(f"runs/{started.id}/run.json"))["pid"]
    for process in (*psutil.Process(pid).parents()[:2], psutil.Process(pid)):
        if process.environ().get("TUNESMITH_RUN_ID") == started.id:
            process.kill()
    page = await asyncio.wait_for(follow(ctx, project, started.id), 30)
    assert page.run.state == "interrupted"
    assert page.run.can_resume


async def test_the_death_of_azurebox_costs_no_run(ctx, project, places):
    long_commands(project, steps=80)
    started = (await run.start(ctx, Start(project=str(project)))).run
    following = asyncio.create_task(follow(ctx, project, started.id))
    await wait_for_step(ctx, project, started.id, 3)
    await asyncio.to_thread(kill_azurebox, places[0])
    page = await asyncio.wait_for(following, 60)
    assert page.run.state == "succeeded"
    steps = [line.text for line in ctx.reporter.lines if line.text.startswith("step ")]
    assert steps == [f"step {n}" for n in range(1, 81)]
    assert len(page.run.executions) == 1


async def test_a_cancelled_follower_stops_nothing(ctx, project):
    long_commands(project, steps=30)
    started = (await run.start(ctx, Start(project=str(project)))).run
    following = asyncio.create_task(follow(ctx, project, started.id))
    await wait_for_step(ctx, project, started.id, 2)
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    other = Context(RecordingReporter(), ctx.home, ctx.cache)
    assert (await follow(other, project, started.id)).run.state == "succeeded"


async def test_logs_by_cursor_and_tail(ctx, project):
    started = (await run.start(ctx, Start(project=str(project)))).run
    whole = await follow(ctx, project, started.id)
    page = await run.logs(ctx, Logs(project=str(project), run=started.id))
    assert page.at_end
    assert page.cursor == whole.cursor
    assert list(page.lines) == [line.text for line in ctx.reporter.lines]
    tail = await run.logs(ctx, Logs(project=str(project), run=started.id, tail=2))
    assert tail.lines == page.lines[-2:]
    again = Context(RecordingReporter(), ctx.home, ctx.cache)
    await run.logs(again, Logs(project=str(project), run=started.id, tail=2, follow=True))
    assert [(line.seq, line.text) for line in again.reporter.lines] == [*enumerate(tail.lines)]
    end = await run.logs(ctx, Logs(project=str(project), run=started.id, cursor=page.cursor))
    assert end.lines == ()


async def test_what_a_kill_left_of_a_line_is_shown_once_the_run_is_over(ctx, project):
    started = (await run.start(ctx, Start(project=str(project)))).run
    await follow(ctx, project, started.id)
    async with open_session(ctx, OneRun(project=str(project))) as session:
        files, path = await session.files(), f"runs/{started.id}/log.txt"
        cut = (await files.read(path)).decode() + "half a l\u00ef".encode()[:-1].decode("latin-1")
        await files.write(path, cut.encode("latin-1"))
    page = await run.logs(ctx, Logs(project=str(project), run=started.id))
    assert page.lines[-1] == "half a l\ufffd"
    assert page.at_end


async def test_a_config_file_that_is_no_json_is_refused_and_kept(ctx, project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    spoilt = (copy / "infra/finetuning.config.json").read_text().replace("[", "[mine, ", 1)
    (copy / "infra/finetuning.config.json").write_text(spoilt)
    for operation, params in (
        (run.start, Start(project=str(copy))),
        (infra.apply, infra.Apply(project=str(copy))),
    ):
        with pytest.raises(ProjectError) as caught:
            await operation(ctx, params)
        assert caught.value.code == "project.configInvalid"
        assert "infra/finetuning.config.json" in caught.value.message
    assert (copy / "infra/finetuning.config.json").read_text() == spoilt


async def test_unknown_and_impossible_runs(ctx, project):
    with pytest.raises(RunError) as caught:
        await run.show(ctx, OneRun(project=str(project), run="never-was"))
    assert caught.value.code == "run.unknown"
    for bad in ("../x", "UPPER", "a b", "", "-x", "x" * 65):
        with pytest.raises(RunError) as caught:
            await run.start(ctx, Start(project=str(project), run=bad or "/"))
        assert caught.value.code == "run.badId"


async def test_start_before_provisioning_is_refused(ctx, fresh_project):
    with pytest.raises(InfraError) as caught:
        await run.start(ctx, Start(project=str(fresh_project)))
    assert caught.value.code == "infra.missing"
    assert caught.value.fix.command == "infra/apply"


@pytest.mark.parametrize(
    ("spoil", "error", "code"),
    [
        (lambda p: (p / "dataset/train.jsonl").unlink(), DatasetError, "dataset.fileUnusable"),
        (
            lambda p: (p / "dataset/train.jsonl").write_text("{}\n"),
            DatasetError,
            "dataset.unusable",
        ),
        (
            lambda p: (p / "finetuning/olive-config.json").write_text('{\n"a": }'),
            ProjectError,
            "project.configInvalid",
        ),
        (
            lambda p: edit_json(
                p / "finetuning/olive-config.json",
                lambda c: c["input_model"].update(model_path="smolm2"),
            ),
            ProjectError,
            "project.modelUnknown",
        ),
        (
            lambda p: edit_json(
                p / "finetuning/olive-config.json",
                lambda c: c["input_model"].update(model_path="./nowhere"),
            ),
            ProjectError,
            "project.modelMissing",
        ),
    ],
)
async def test_bad_input_is_refused_before_anything_is_made(
    ctx, project, tmp_path, spoil, error, code
):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    spoil(copy)
    before = (await run.list_runs(ctx, Start(project=str(project)))).runs
    with pytest.raises(error) as caught:
        await run.start(ctx, Start(project=str(copy)))
    assert caught.value.code == code
    assert caught.value.hint
    assert (await run.list_runs(ctx, Start(project=str(project)))).runs == before


async def test_a_model_folder_outside_the_project_comes_along(ctx, fresh_project, tmp_path):
    model = tmp_path / "my-model"
    (model / "sub").mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "sub/weights.safetensors").write_bytes(os.urandom(1000))
    await infra.apply(ctx, infra.Apply(project=str(fresh_project)))
    set_commands(fresh_project, COMMANDS)
    edit_json(
        fresh_project / "finetuning/olive-config.json",
        lambda c: c["input_model"].update(model_path=str(model)),
    )
    started = (await run.start(ctx, Start(project=str(fresh_project)))).run
    async with open_session(ctx, Start(project=str(fresh_project))) as session:
        files = await session.files()
        frozen = json.loads(await files.read(f"runs/{started.id}/inputs/olive-config.json"))
        assert frozen["input_model"]["model_path"] == "model-cache/my-model"
        sent = await files.read("model-cache/my-model/sub/weights.safetensors")
        assert sent == (model / "sub/weights.safetensors").read_bytes()
        assert await files.exists("model-cache/my-model/.complete")
    await follow(ctx, fresh_project, started.id)
    await infra.destroy(ctx, infra.Destroy(project=str(fresh_project)))
