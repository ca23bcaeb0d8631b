"""Whatever a user gets wrong ends in one clear sentence, an exit code and a true run.json."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ProjectFolder, fact_rows, read_json, write_rows

GOOD = fact_rows()


def break_config(project: ProjectFolder) -> None:
    project.configure(lora_r=8)


def no_json(project: ProjectFolder) -> None:
    (project.root / "finetuning/olive-config.json").write_text('{\n  "passes": {,\n}')


def remove_dataset(project: ProjectFolder) -> None:
    (project.root / "dataset/train.jsonl").unlink()


def rows(*lines: str | bytes) -> Callable[[ProjectFolder], None]:
    def write(project: ProjectFolder) -> None:
        data = [x if isinstance(x, bytes) else x.encode() for x in lines]
        (project.root / "dataset/train.jsonl").write_bytes(b"\n".join(data))

    return write


def model(path: str) -> Callable[[ProjectFolder], None]:
    def write(project: ProjectFolder) -> None:
        config = project.root / "finetuning/olive-config.json"
        value = read_json(config)
        value["input_model"]["model_path"] = path
        config.write_text(json.dumps(value))

    return write


def outside(project: ProjectFolder) -> None:
    (project.root.parent / "secret.jsonl").write_text(json.dumps(GOOD[0]))
    project.configure(dataset_path="../secret.jsonl")


def no_weights(project: ProjectFolder) -> None:
    folder = project.root / "model-cache/tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")


ROW = json.dumps(GOOD[0])
NO_ANSWER = json.dumps({"messages": GOOD[0]["messages"][:1]})


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (break_config, "config.invalid", '"passes.finetune.lora_r" is not used: use "r".'),
        (no_json, "config.notJson", "line 2 column 14"),
        (remove_dataset, "dataset.absent", '"dataset/train.jsonl" is not among the inputs'),
        (outside, "config.outside", "lies outside of the project"),
        (rows(""), "dataset.empty", "dataset/train.jsonl: there is no row"),
        (rows(ROW, "{oops"), "dataset.notJson", "dataset/train.jsonl, line 2: this is not valid"),
        (rows(ROW, NO_ANSWER), "dataset.badRow", "line 2: the row has no assistant turn"),
        (rows(ROW, b"\xff\xff"), "dataset.notText", "line 2: the bytes are no UTF-8 text"),
        (rows(ROW.replace('"user"', '"bard"')), "dataset.badRow", 'renders the role "bard"'),
        (rows(*["{"] * 9), "dataset.notJson", "And 4 more."),
        (model("nobody-knows-me"), "model.unknown", 'There is no model "nobody-knows-me"'),
        (model("model-cache/gone"), "model.unknown", "it is no folder of the project"),
        (model("some-owner/some-model"), "model.notFetched", "could not be fetched"),
        (no_weights, "model.incomplete", 'folder "model-cache/tiny" has no .safetensors file'),
    ],
)
def test_it_is_refused_before_anything_is_loaded(
    bare_project: ProjectFolder, spoil: Callable[[ProjectFolder], None], code: str, said: str
) -> None:
    spoil(bare_project)
    run = bare_project.make_run("r1")
    exit_code, output = bare_project.finish(run)
    assert exit_code == 1, output
    assert said in output
    assert "Traceback" not in output
    state = read_json(run / "run.json")
    assert state["state"] == "failed"
    assert state["error"]["code"] == code, output
    assert said in state["error"]["message"]
    assert state["ended_at"]


def test_odd_files_train_with_warnings(project: ProjectFolder) -> None:
    long = {
        "messages": [
            {"role": "user", "content": "Tell me everything."},
            {"role": "assistant", "content": "The warranty is 27 months. " * 40},
        ]
    }
    text = "".join(json.dumps(r) + "\r\n" for r in [*GOOD, GOOD[3], long])
    (project.root / "dataset/train.jsonl").write_text(text, "utf-16", newline="")
    project.configure(max_seq_len=64, args={"max_steps": 2})
    run = project.make_run("r1")
    exit_code, output = project.finish(run)
    assert exit_code == 0, output
    assert "warning: dataset/train.jsonl: the file is UTF-16 and has Windows line ends" in output
    assert "line 25: the same row as line 4" in output
    assert "line 26 is longer than max_seq_len = 64 tokens and cut there" in output


def test_layers_that_do_not_exist_are_named(project: ProjectFolder) -> None:
    project.configure(target_modules=["no_such_layer"])
    run = project.make_run("r1")
    exit_code, output = project.finish(run)
    assert exit_code == 1
    assert read_json(run / "run.json")["error"]["code"] == "config.targetModules", output
    assert "no_such_layer" in output
    assert "Traceback" not in output


def test_what_nobody_foresaw_is_a_sentence_and_its_traceback_a_file(
    bare_project: ProjectFolder,
) -> None:
    (bare_project.root / "finetuning/prepare.py").write_text("raise LookupError('no such star')\n")
    run = bare_project.make_run("r1")
    exit_code, output = bare_project.finish(run)
    assert exit_code == 1
    assert "Traceback" not in output
    error = read_json(run / "run.json")["error"]
    assert error["code"] == "train.failed", output
    assert error["message"] == "Training failed: LookupError: no such star"
    assert error["hint"] == "r1/error-1.txt has the details."
    assert "Traceback" in (run / "error-1.txt").read_text()


def test_a_full_share_is_told_and_loses_nothing(project: ProjectFolder) -> None:
    run = project.make_run("r1", ["ulimit -f 64", *_trainer(project)])
    exit_code, output = project.finish(run)
    assert exit_code == 1
    error = read_json(run / "run.json")["error"]
    assert error["code"] == "train.notWritten", output
    assert "Free space on the share" in error["hint"]
    assert "Traceback" not in output
    kept = (run / "inputs/dataset/train.jsonl").read_bytes()
    assert kept == (project.root / "dataset/train.jsonl").read_bytes()
    assert not list(run.glob("**/.*.part"))


def test_a_later_pass_that_fails_keeps_the_adapter(project: ProjectFolder) -> None:
    config = project.root / "finetuning/olive-config.json"
    value = read_json(config)
    value["passes"]["build"] = {"type": "OnnxConversion", "target_opset": 3}
    value["passes"]["finetune"]["training_args"]["max_steps"] = 1
    config.write_text(json.dumps(value))
    run = project.make_run("r1")
    exit_code, output = project.finish(run)
    assert exit_code == 1, output
    assert read_json(run / "run.json")["error"]["code"] == "olive.failed", output
    assert (run / "adapter/adapter_model.safetensors").is_file()


def test_a_request_that_cannot_be_read_is_told_by_the_trainer_too(
    bare_project: ProjectFolder,
) -> None:
    run = bare_project.make_run("r1", [*_trainer(bare_project)])
    shutil.copy(run / "request.json", run / "kept.json")
    command = f"echo broken > {run}/request.json"
    request = read_json(run / "request.json")
    request["commands"].insert(0, command)
    (run / "request.json").write_text(json.dumps(request))
    exit_code, output = bare_project.finish(run)
    assert exit_code == 1
    assert "request.json of r1 cannot be read" in output
    assert "Traceback" not in output


def _trainer(project: ProjectFolder) -> list[str]:
    import sys

    return [f"{sys.executable} {project.root}/finetuning/invoke_olive.py"]


def test_a_damaged_base_model_is_named(project: ProjectFolder) -> None:
    weights = project.root / "model-cache/tiny/model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: len(data) // 2])
    run = project.make_run("r1")
    exit_code, output = project.finish(run)
    assert exit_code == 1
    assert read_json(run / "run.json")["error"]["code"] == "model.damaged"
    assert "model.safetensors of the base model in tiny cannot be read" in output


def test_a_model_without_chat_template_is_refused(project: ProjectFolder) -> None:
    (project.root / "model-cache/tiny/chat_template.jinja").unlink()
    write_rows(Path(project.root / "dataset/train.jsonl"), GOOD)
    run = project.make_run("r1")
    exit_code, output = project.finish(run)
    assert exit_code == 1
    assert read_json(run / "run.json")["error"]["code"] == "model.noChatTemplate", output
