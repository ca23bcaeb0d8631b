"""Projects: made whole or not at all, described and checked without a target."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from local_target import edit_json
from tunesmith.core.errors import DatasetError, InfraError, ProjectError
from tunesmith.core.run_config import FILE
from tunesmith.ops import project
from tunesmith.ops.project import Check, Create
from tunesmith.ops.registry import ProjectParams
from tunesmith.ops.scaffolding import create_project
from tunesmith.workspace.infra_files import load_template


async def create(ctx, folder, **choices):
    return await project.create(ctx, Create(folder=str(folder), **choices))


def everything_below(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


async def test_a_new_project_has_no_problem_and_all_parts(ctx, tmp_path):
    made = await create(ctx, tmp_path / "My Süße Demo")
    assert made.name == "my-sue-demo"
    root = Path(made.folder)
    for part in (
        "dataset/train.jsonl",
        "dataset/questions.jsonl",
        "finetuning/launcher.py",
        "inference/app.py",
        "infra/provision/finetuning.json",
        ".vscode",
        ".tunesmithignore",
        "README.md",
    ):
        assert (root / part).exists(), part
    assert not [p for p in everything_below(root) if "__pycache__" in p]
    found = await project.describe(ctx, ProjectParams(project=str(root)))
    assert found.problems == ()
    assert (found.model, found.recipe, found.provisioned) == ("smollm2-135m-instruct", "chat", ())
    assert found.template_version
    report = await project.check(ctx, Check(project=str(root)))
    assert report.errors == 0
    assert report.datasets[0].rows == 200


async def test_without_a_tokenizer_it_is_said_that_tokens_were_not_counted(ctx, fresh_project):
    report = await project.check(ctx, Check(project=str(fresh_project)))
    assert [p.severity for p in report.problems if p.code == "check.noTokenizer"] == ["info"]


async def test_choices_are_written(ctx, tmp_path):
    await create(ctx, tmp_path / "p", model="owner/name", values={"epochs": "5", "location": ""})
    config = json.loads((tmp_path / "p" / FILE).read_text())
    assert config["input_model"]["model_path"] == "owner/name"
    assert config["passes"]["finetune"]["training_args"]["num_train_epochs"] == 5
    parameters = json.loads((tmp_path / "p/infra/provision/finetuning.parameters.json").read_text())
    assert parameters["parameters"]["location"]["value"] is None


async def test_own_data_replaces_the_sample_and_its_questions(ctx, tmp_path):
    rows = '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n' * 3
    (tmp_path / "mine.jsonl").write_text(rows)
    await create(ctx, tmp_path / "p", dataset=str(tmp_path / "mine.jsonl"))
    assert (tmp_path / "p/dataset/train.jsonl").read_text() == rows
    questions = (tmp_path / "p/dataset/questions.jsonl").read_text().splitlines()
    assert {json.loads(q)["kind"] for q in questions} == {"general"}


async def test_a_model_folder_is_checked_and_named_in_full(ctx, tmp_path, monkeypatch):
    (tmp_path / "models/tiny").mkdir(parents=True)
    (tmp_path / "models/tiny/config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    made = await create(ctx, "p", model="models/tiny")
    assert made.model == str(tmp_path / "models/tiny")


@pytest.mark.parametrize(
    ("choices", "error", "code"),
    [
        ({"model": "smolm2"}, ProjectError, "project.modelUnknown"),
        ({"model": "./not/there"}, ProjectError, "project.modelMissing"),
        ({"dataset": "not-there.jsonl"}, DatasetError, "dataset.fileUnusable"),
        ({"values": {"epochs": "many"}}, ProjectError, "project.badValue"),
        ({"values": {"epochs": "0"}}, ProjectError, "project.badValue"),
        ({"values": {"method": "magic"}}, ProjectError, "project.badValue"),
        ({"values": {"location": "West Europe"}}, ProjectError, "project.badValue"),
        ({"values": {"colour": "red"}}, ProjectError, "project.unknownField"),
    ],
)
async def test_a_bad_choice_is_refused_and_nothing_is_made(
    ctx, tmp_path, monkeypatch, choices, error, code
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        await create(ctx, tmp_path / "p", **choices)
    assert caught.value.code == code
    assert caught.value.hint
    assert everything_below(tmp_path) == []


async def test_a_folder_with_something_in_it_is_left_alone(ctx, tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p/mine.txt").write_text("mine")
    with pytest.raises(ProjectError) as caught:
        await create(ctx, tmp_path / "p")
    assert caught.value.code == "project.notEmpty"
    assert everything_below(tmp_path) == ["p", "p/mine.txt"]


async def test_a_file_in_the_way_is_left_alone(ctx, tmp_path):
    (tmp_path / "p").write_text("mine")
    with pytest.raises(ProjectError) as caught:
        await create(ctx, tmp_path / "p")
    assert caught.value.code == "project.notAFolder"
    with pytest.raises(ProjectError) as caught:
        await create(ctx, tmp_path / "p/deeper")
    assert caught.value.code == "project.notWritable"
    assert (tmp_path / "p").read_text() == "mine"


async def test_an_empty_folder_is_taken(ctx, tmp_path):
    (tmp_path / "p").mkdir()
    await create(ctx, tmp_path / "p")
    assert everything_below(tmp_path)[0] == "p"
    assert not [p for p in tmp_path.iterdir() if p.name != "p"]


async def test_a_failed_write_leaves_nothing_behind(ctx, tmp_path, monkeypatch):
    from tunesmith.workspace import scaffold

    def full(file, edits):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scaffold, "_edit", full)
    with pytest.raises(ProjectError) as caught:
        await create(ctx, tmp_path / "p", model="owner/name")
    assert "No space left" in caught.value.message
    assert everything_below(tmp_path) == []


@pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere"
)
async def test_a_folder_that_may_not_be_written(ctx, tmp_path):
    (tmp_path / "shut").mkdir(mode=0o500)
    with pytest.raises(ProjectError) as caught:
        await create(ctx, tmp_path / "shut/p")
    assert caught.value.code == "project.notWritable"


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_text("")])
async def test_a_folder_that_is_no_project(ctx, tmp_path, make):
    make(tmp_path / "p")
    with pytest.raises(ProjectError) as caught:
        await project.describe(ctx, ProjectParams(project=str(tmp_path / "p")))
    assert caught.value.code == "project.notFound"


@pytest.mark.parametrize(
    ("file", "content", "line"),
    [
        (FILE, '{\n  "input_model": {"model_path": "x"},\n  "passes": ]\n}', 3),
        ("infra/finetuning.config.json", '{\n  "COMMANDS": [,]\n}', 2),
        (".tunesmith/target.json", "{", 1),
        ("finetuning/olive-config.schema.json", "{\n", 2),
    ],
)
async def test_a_file_edited_into_nonsense_is_a_problem_with_its_line(
    ctx, fresh_project, file, content, line
):
    (fresh_project / file).write_text(content)
    found = await project.describe(ctx, ProjectParams(project=str(fresh_project)))
    [problem] = [p for p in found.problems if p.file == file]
    assert (problem.line, problem.severity) == (line, "error")
    assert problem.hint
    report = await project.check(ctx, Check(project=str(fresh_project)))
    assert report.errors >= 1


async def test_bytes_that_are_no_text_in_a_config(ctx, fresh_project):
    (fresh_project / FILE).write_bytes(b"\xff\xfe\x00")
    found = await project.describe(ctx, ProjectParams(project=str(fresh_project)))
    assert "file.unreadable" in [p.code for p in found.problems]


async def test_an_unknown_model_is_a_problem_with_its_line(ctx, fresh_project):
    edit_json(fresh_project / FILE, lambda c: c["input_model"].update(model_path="smolm2"))
    report = await project.check(ctx, Check(project=str(fresh_project)))
    [problem] = [p for p in report.problems if p.code == "project.modelUnknown"]
    lines = (fresh_project / FILE).read_text().splitlines()
    assert '"model_path"' in lines[problem.line - 1]
    assert "smollm2-135m-instruct" in problem.hint


async def test_another_dataset_can_be_checked(ctx, fresh_project, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"messages": []}\n')
    report = await project.check(
        ctx, Check(project=str(fresh_project), dataset=str(tmp_path / "bad.jsonl"))
    )
    assert report.errors >= 1
    assert report.problems[0].severity == "error"
    assert [d.file for d in report.datasets] == [str(tmp_path / "bad.jsonl")]


async def test_a_broken_parameters_file_is_found(ctx, fresh_project):
    name = "infra/provision/finetuning.parameters.json"
    file = fresh_project / name
    file.write_text(file.read_text().replace('"timeout"', '"tiemout"'))
    report = await project.check(ctx, Check(project=str(fresh_project)))
    assert [(p.file, p.code) for p in report.problems if p.severity == "error"] == [
        (name, "parameters.unknownNear")
    ]
    with pytest.raises(InfraError, match="tiemout"):
        load_template(fresh_project, "finetuning")
    file.write_text('{\n"parameters"\n}')
    report = await project.check(ctx, Check(project=str(fresh_project)))
    assert [(p.file, p.line) for p in report.problems if p.severity == "error"] == [(name, 3)]


def test_an_empty_folder_is_filled_and_stays_the_same_folder(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    inode = folder.stat().st_ino
    create_project(".", model=None, dataset=None, values={})
    assert folder.stat().st_ino == inode
    assert (Path.cwd() / "finetuning/olive-config.json").is_file()
    assert not [f for f in folder.iterdir() if f.name.startswith(".here.")]


async def test_nothing_is_deployed_when_its_names_cannot_be_written(
    ctx, fresh_project, monkeypatch
):
    from tunesmith.ops import infra

    infra_folder = fresh_project / "infra"
    allowed = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path) != infra_folder and allowed(path, mode)
    )
    with pytest.raises(ProjectError) as caught:
        await infra.apply(ctx, infra.Apply(project=str(fresh_project)))
    assert caught.value.code == "project.readOnly"
    assert str(infra_folder) in caught.value.message
    status = await infra.status(ctx, infra.ProjectParams(project=str(fresh_project)))
    assert not status.exists


def test_the_doctor_names_a_home_that_is_not_writable(tmp_path):
    from tunesmith.ops.diagnosis import find_home

    (tmp_path / "file").write_text("")
    found = find_home(tmp_path / "file" / "home")
    assert found.state == "error"
    assert "TUNESMITH_HOME" in found.detail


async def test_a_model_only_the_hub_knows_is_said_to_be_unverified(ctx, tmp_path):
    made = await create(ctx, tmp_path / "p", model="org/doesnotexist")
    report = await project.check(ctx, Check(project=made.folder))
    [problem] = report.problems
    assert (problem.severity, problem.code) == ("warning", "project.modelUnverified")
    assert "could not be verified from here" in problem.message


async def test_an_unknown_model_is_told_once(ctx, fresh_project):
    edit_json(fresh_project / FILE, lambda c: c["input_model"].update(model_path="smolm2"))
    report = await project.check(ctx, Check(project=str(fresh_project)))
    assert [p.code for p in report.problems] == ["project.modelUnknown"]


@pytest.mark.parametrize("model", ["smolm2", "./not/there"])
async def test_a_model_that_create_refuses_is_to_be_named_by_its_flag(ctx, tmp_path, model):
    with pytest.raises(ProjectError) as caught:
        await create(ctx, tmp_path / "p", model=model)
    assert "--model" in caught.value.hint
    assert "olive-config" not in caught.value.hint
