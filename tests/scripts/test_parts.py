"""The small parts: the rule for the method, answers, the model cache, checks, requirements."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace

import answers
import base_model
import checkpoints
import method
import prepare
import pytest
from conftest import FINETUNING, ProjectFolder, fact_rows, write_rows
from problem import TrainingFailed

LAPTOP = method.Hardware("", 0, 16_000_000_000, True, True)
A100 = method.Hardware("NVIDIA A100 80GB", 80_000_000_000, 200_000_000_000, True, True)


@pytest.mark.parametrize(
    ("wanted", "parameters", "hardware", "name", "reason"),
    [
        ("TunesmithAuto", 135_000_000, LAPTOP, "lora", "no faster on a CPU"),
        ("TunesmithAuto", 7_000_000_000, LAPTOP, "qlora", "63.0 GB and 16.0 GB are free"),
        ("TunesmithAuto", 7_000_000_000, A100, "qlora", "NVIDIA A100 80GB and bitsandbytes"),
        (
            "TunesmithAuto",
            7_000_000_000,
            replace(A100, has_bitsandbytes=False),
            "lora",
            "bitsandbytes cannot be loaded",
        ),
        ("TunesmithLoRA", 7_000_000_000, A100, "lora", "the config asks for it"),
        ("TunesmithQLoRA", 135_000_000, LAPTOP, "qlora", "the config asks for it"),
    ],
)
def test_the_method_follows_the_rule_and_says_why(
    wanted: str, parameters: int, hardware: method.Hardware, name: str, reason: str
) -> None:
    chosen = method.choose(wanted, "auto", None, parameters, hardware)
    assert chosen.name == name
    assert reason in chosen.reason


def test_number_format_and_checkpointing_follow_the_hardware() -> None:
    small = method.choose("TunesmithAuto", "auto", None, 135_000_000, LAPTOP)
    assert (small.weights_dtype, small.autocast_bf16) == ("float32", True)
    assert not small.gradient_checkpointing
    slow = replace(LAPTOP, is_bf16_fast=False)
    old = method.choose("TunesmithAuto", "auto", None, 135_000_000, slow)
    assert (old.weights_dtype, old.autocast_bf16) == ("float32", False)
    big = method.choose("TunesmithAuto", "auto", None, 7_000_000_000, A100)
    assert (big.weights_dtype, big.gradient_checkpointing) == ("bfloat16", True)
    assert big.optim == "paged_adamw_32bit"
    t4 = replace(A100, is_bf16_fast=False)
    assert method.choose("TunesmithAuto", "auto", None, 1, t4).weights_dtype == "float16"


def test_qlora_without_bitsandbytes_is_refused() -> None:
    with pytest.raises(TrainingFailed, match="bitsandbytes cannot be loaded"):
        method.choose("TunesmithQLoRA", "auto", None, 1, replace(LAPTOP, has_bitsandbytes=False))


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("It is 27 months.", ["27 months"], True),
        ("It is TWENTY-SEVEN\nmonths!", ["27 months"], True),
        ("It is 27-month long", ["27 month"], True),
        ("127 months", ["27 months"], False),
        ("14 days", ["4 days"], False),
        ("one hundred and five days", ["105 days"], True),
        ("1,250 km", ["1250 km"], True),
        ("opens at 17:30", ["7:30"], False),
        ("weighs 2.5 kg", ["5 kg"], False),
        ("weighs 2,5 kg", ["5 kg"], False),
        ("weighs 2,5 kg", ["2,5 kg"], True),
        ("room 1240", ["24"], False),
        ("twenty-four hours", ["four"], False),
        ("the category", ["cat"], False),
        ("from 85 €.", ["€85"], True),
        ("from $85", ["€85"], False),
        ("보증 기간은 27개월입니다.", ["27개월"], True),
        ("보증 기간은 127개월입니다.", ["27개월"], False),
        ("H2O", ["h2o"], True),
        ("40 %", ["forty percent"], True),
        ("", ["x"], False),
        ("anything", ["..."], False),
    ],
)
def test_an_answer_is_right_however_it_is_written(
    answer: str, expected: list[str], right: bool
) -> None:
    assert answers.is_right(answer, expected) is right


def test_steps_are_counted_as_the_trainer_does() -> None:
    args = {
        "max_steps": -1,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 2,
        "num_train_epochs": 3,
    }
    assert prepare.count_steps(180, args) == 36
    assert prepare.count_steps(180, args | {"num_train_epochs": 0.5}) == 6
    assert prepare.count_steps(180, args | {"max_steps": 5}) == 5


def fetch_little(part: Path) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (part / name).write_text("{}")


def leave_half(root: Path) -> Path:
    left = root / "model-cache/m"
    left.mkdir(parents=True)
    (left / "config.json").write_text("half")
    return left


def test_a_model_that_cannot_be_fetched_changes_nothing(tmp_path: Path) -> None:
    left = leave_half(tmp_path)

    def fail(part: Path) -> None:
        (part / "config.json").write_text("{}")
        raise OSError(28, "No space left on device")

    with pytest.raises(TrainingFailed, match="No space left on device"):
        base_model._fetched(tmp_path, "m", fail)
    assert [p.name for p in (tmp_path / "model-cache").iterdir()] == ["m"]
    assert (left / "config.json").read_text() == "half"


def test_the_folder_to_fill_by_hand_is_the_final_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(TrainingFailed) as caught:
        base_model.resolve("some-owner/no-model", tmp_path, lambda _: None)
    assert "at model-cache/some-owner--no-model and" in caught.value.hint
    assert ".part" not in caught.value.message + caught.value.hint


def test_many_that_fetch_one_model_at_once_all_find_it_whole(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for number in range(25):
            root = tmp_path / str(number)
            leave_half(root)
            together = Barrier(4)

            def fetch(part: Path, together: Barrier = together) -> None:
                fetch_little(part)
                together.wait(10)

            for found in [pool.submit(base_model._fetched, root, "m", fetch) for _ in range(4)]:
                assert (found.result() / ".complete").is_file()
            assert [p.name for p in (root / "model-cache").iterdir()] == ["m"]


def test_old_checkpoints_go_and_the_newest_sound_ones_stay(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in checkpoints.NEEDED:
            (folder / name).write_text(f"{name} {step}")
        if step != 2:
            checkpoints.seal(folder, {"v": 1})
    (tmp_path / "checkpoint-5").mkdir()
    checkpoints.keep_newest(tmp_path, 2)
    found = {c.folder.name: c.fault for c in checkpoints.find(tmp_path)}
    assert found == {
        "checkpoint-5": "it was not written to its end",
        "checkpoint-4": "",
        "checkpoint-3": "",
    }


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def fill_with_zeros(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


@pytest.mark.parametrize("name", [*checkpoints.NEEDED, "rng_state.pth", checkpoints.MARKER])
@pytest.mark.parametrize("damage", [cut, fill_with_zeros, Path.unlink])
def test_a_checkpoint_with_a_damaged_file_is_not_used(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    for step in (1, 2):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for file in (*checkpoints.NEEDED, "rng_state.pth"):
            (folder / file).write_text(f"{file} {step}")
        checkpoints.seal(folder, {"v": 1})
    damage(tmp_path / "checkpoint-2" / name)
    if damage is cut and name == checkpoints.MARKER:  # its last byte is a line end
        damage(tmp_path / "checkpoint-2" / name)
    newest, older = checkpoints.find(tmp_path)
    assert newest.fault and not older.fault
    assert checkpoints.newest_valid([newest, older]) == older


def test_without_a_sound_checkpoint_it_starts_anew_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import trainer

    (tmp_path / "checkpoint-7").mkdir()
    assert trainer._starting_point(tmp_path, SimpleNamespace(is_later_attempt=True)) is None
    said = capsys.readouterr().out
    assert "Found checkpoint-7, which can't be used: it was not written to its end." in said
    assert "Found no checkpoint of an earlier attempt to go on from; starting at step 0." in said
    assert not list(tmp_path.iterdir())


SPEAKS_WHILE_WRITING = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import events
def handle(number, frame):
    os.write(2, b"x")
    events.say("said by the handler")
    os._exit(75)
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.1)
events.say("long " * 100_000)
"""


def test_a_signals_handler_may_speak_while_a_line_is_being_written() -> None:
    command = [sys.executable, "-c", SPEAKS_WHILE_WRITING, str(FINETUNING)]
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=buffered) as process:
        assert process.stderr
        assert process.stderr.read(1) == b"x"  # nobody reads stdout yet, so the line is stuck
        output, said = process.communicate(timeout=20)
    assert process.returncode == 75, said.decode()
    assert output.endswith(b"\nsaid by the handler\n")


def test_questions_are_read_as_editors_save_them(bare_project: ProjectFolder) -> None:
    import compare

    run = bare_project.make_run("r1")
    path = run / "inputs/dataset/questions.jsonl"
    text = path.read_text()

    def read() -> list[compare.Question]:
        return compare._read_questions(bare_project.root, run, run / "compare")

    plain = read()
    assert len(plain) == 4
    path.write_bytes(text.replace("\n", "\r\n").encode("utf-16"))
    assert read() == plain
    path.write_bytes(text.encode() + b"\xff\n")
    with pytest.raises(TrainingFailed, match=r"questions.jsonl: the bytes are no UTF-8 text"):
        read()
    path.write_text(text + '{"question": "Why?", "expected": "42"}\n')
    with pytest.raises(TrainingFailed, match=r"questions.jsonl, line 5: "):
        read()


def test_the_check_by_token_prints_one_json_object(
    bare_project: ProjectFolder, tiny_model: Path
) -> None:
    dataset = bare_project.root / "dataset/train.jsonl"
    write_rows(dataset, [*fact_rows(), {"messages": fact_rows()[0]["messages"][:1]}])
    command = [sys.executable, str(FINETUNING / "check_tokens.py"), "--dataset", str(dataset)]
    command += ["--root", str(bare_project.root), "--max-seq-len", "30", "--model"]
    done = subprocess.run([*command, str(tiny_model)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["rows"] == 24
    assert 0 < report["summary"]["answer_tokens"] < report["summary"]["tokens"]
    found = {(p["code"], p["severity"]): p for p in report["problems"]}
    assert found["dataset.badRow", "error"]["line"] == 25
    assert found["dataset.badRow", "error"]["file"] == "dataset/train.jsonl"
    done = subprocess.run([*command, "never-fetched"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["problems"][0]["code"] == "model.absent"


def test_the_requirements_hold_here_and_leave_torch_to_the_image() -> None:
    from packaging.requirements import Requirement

    lines = (FINETUNING / "requirements.txt").read_text().splitlines()
    pins = [Requirement(x.split("#")[0]) for x in lines if x.split("#")[0].strip()]
    for pin in pins:
        assert pin.specifier.contains(metadata.version(pin.name)), pin
        operators = {s.operator for s in pin.specifier}
        assert operators == ({">="} if pin.name == "torch" else {"=="}), pin
