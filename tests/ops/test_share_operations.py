"""share status, push and pull as every front calls them, on a provisioned project."""

import json

import pytest
from local_target import edit_json
from tunesmith.core.errors import InfraError, RunError, ShareError
from tunesmith.ops.infra import Apply, apply
from tunesmith.ops.registry import ProjectParams
from tunesmith.ops.share import Pull, Push, pull, push, status


@pytest.fixture
async def own(ctx, fresh_project):
    await apply(ctx, Apply(project=str(fresh_project)))
    return fresh_project


@pytest.fixture
def share(own, places):
    names = json.loads((own / "infra/finetuning.config.json").read_text())
    home, _ = places
    folder = home / "azurebox/files" / names["STORAGE_ACCOUNT_NAME"] / names["FILE_SHARE_NAME"]
    assert folder.is_dir()
    return folder


async def test_status_push_and_status_again(ctx, own, share):
    params = ProjectParams(project=str(own))
    before = await status(ctx, params)
    assert not before.applied and before.files > 10
    assert list(share.iterdir()) == []
    planned = await push(ctx, Push(project=str(own), dry_run=True))
    assert (planned.files, planned.applied) == (before.files, False)
    assert list(share.iterdir()) == []
    done = await push(ctx, Push(project=str(own)))
    assert (done.files, done.size_bytes) == (before.files, before.size_bytes)
    trained_by = (share / "finetuning/launcher.py").read_bytes()
    assert trained_by == (own / "finetuning/launcher.py").read_bytes()
    assert not (share / "infra").exists()
    after = await status(ctx, params)
    assert (after.files, after.deleted, after.plan.changes) == (0, 0, False)


async def test_the_dataset_of_the_run_config_goes_although_git_ignores_it(ctx, own, share):
    with (own / ".gitignore").open("a") as rules:
        rules.write("/dataset/\n/mine/\n")
    (own / "mine").mkdir()
    (own / "mine/rows.jsonl").write_text((own / "dataset/train.jsonl").read_text())
    (own / "mine/raw.csv").write_text("not for the share")
    edit_json(
        own / "finetuning/olive-config.json",
        lambda c: c["passes"]["finetune"].update(dataset_path="mine/rows.jsonl"),
    )
    await push(ctx, Push(project=str(own)))
    assert (share / "mine/rows.jsonl").is_file()
    assert not (share / "mine/raw.csv").exists()
    assert not (share / "dataset/train.jsonl").exists()


async def test_a_conflict_stops_the_push_and_force_settles_it(ctx, own, share):
    await push(ctx, Push(project=str(own)))
    (share / "dataset/train.jsonl").write_text("written by a job")
    with pytest.raises(ShareError) as refused:
        await push(ctx, Push(project=str(own)))
    assert refused.value.code == "share.conflict"
    assert "dataset/train.jsonl" in refused.value.message
    assert (await status(ctx, ProjectParams(project=str(own)))).conflicts == (
        "dataset/train.jsonl",
    )
    await push(ctx, Push(project=str(own), force=True))
    kept = (own / "dataset/train.jsonl").read_bytes()
    assert (share / "dataset/train.jsonl").read_bytes() == kept


async def test_pull_takes_the_newest_run(ctx, own, share):
    with pytest.raises(RunError) as refused:
        await pull(ctx, Pull(project=str(own)))
    assert refused.value.code == "run.none"
    for run, time in (("old", "2026-01-01T00:00:00Z"), ("new", "2026-02-01T00:00:00Z")):
        (share / f"runs/{run}/adapter").mkdir(parents=True)
        (share / f"runs/{run}/request.json").write_text(json.dumps({"v": 1, "created_at": time}))
        (share / f"runs/{run}/adapter/adapter_model.safetensors").write_bytes(b"weights")
    planned = await pull(ctx, Pull(project=str(own), dry_run=True))
    assert (planned.files, planned.applied) == (2, False)
    assert not (own / "runs").exists()
    assert (await pull(ctx, Pull(project=str(own)))).files == 2
    assert (own / "runs/new/adapter/adapter_model.safetensors").read_bytes() == b"weights"
    assert not (own / "runs/old").exists()
    assert (await pull(ctx, Pull(project=str(own), run="old"))).files == 2
    # What was pulled is the share's own and is never sent back.
    assert not [
        r
        for r in (await status(ctx, ProjectParams(project=str(own)))).plan.rows
        if r.subject.startswith("runs/")
    ]


async def test_a_share_that_was_deleted_says_so(ctx, own, share):
    await push(ctx, Push(project=str(own)))
    for path in sorted(share.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    share.rmdir()
    with pytest.raises(ShareError) as refused:
        await push(ctx, Push(project=str(own)))
    assert refused.value.code == "share.missing"
    assert "infra apply" in refused.value.hint


async def test_a_project_that_is_not_provisioned_is_told_what_to_do(ctx, fresh_project):
    with pytest.raises(InfraError) as refused:
        await push(ctx, Push(project=str(fresh_project)))
    assert refused.value.code == "infra.missing"
