from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import config
import pytest
from conftest import FINETUNING
from problem import TrainingFailed

GOOD = json.loads((FINETUNING / "olive-config.json").read_text("utf-8"))


def test_the_config_of_the_template_is_good_and_spells_out_its_defaults() -> None:
    assert config.check(GOOD) == []
    assert next(iter(GOOD)) == "$schema"
    filled = config.with_defaults(GOOD)
    for key, value in GOOD["passes"]["finetune"].items():
        assert filled["passes"]["finetune"][key] == value or key == "training_args"
    schema = json.loads((FINETUNING / "olive-config.schema.json").read_text("utf-8"))
    ours = schema["properties"]["passes"]["properties"]["finetune"]["properties"]
    for key, value in GOOD["passes"]["finetune"]["training_args"].items():
        assert ours["training_args"]["properties"][key]["default"] == value


def test_a_short_config_gets_the_defaults_of_the_schema() -> None:
    short = {
        "input_model": {"model_path": "a/b"},
        "passes": {"finetune": {"type": "TunesmithAuto", "dataset_path": "d.jsonl"}},
    }
    assert config.check(short) == []
    filled = config.with_defaults(short)["passes"]["finetune"]
    assert filled["r"] == 16
    assert filled["training_args"]["num_train_epochs"] == 4
    assert "gradient_checkpointing" not in filled["training_args"]


def changed(path: str, value: Any) -> dict[str, Any]:
    result = copy.deepcopy(GOOD)
    place = result
    *folders, last = path.split("/")
    for name in folders:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return result


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("passes/finetune/lora_r", 8, '"passes.finetune.lora_r" is not used: use "r".'),
        ("passes/finetune/alfa", 8, 'did you mean "alpha"?'),
        ("passes/finetune/training_args/learning_rte", 1, 'did you mean "learning_rate"?'),
        ("passes/finetune/training_args/save_steps", 5, '"save_minutes"'),
        ("passes/finetune/training_args/bf16", True, 'use "torch_dtype" of the pass'),
        ("passes/finetune/training_args/qqqq", 1, 'qqqq" is no key that exists.'),
        ("passes/finetune/r", 0, "passes.finetune.r is 0; it has to be at least 1."),
        ("passes/finetune/r", "16", 'passes.finetune.r is "16"; it has to be of type integer.'),
        ("passes/finetune/type", "QLoRA", "it has to be one of"),
        ("passes/finetune/dataset_path", None, 'passes.finetune lacks "dataset_path".'),
        ("passes/finetune", None, 'passes lacks "finetune".'),
        ("passes", [], "passes is []; it has to be of type object."),
        ("input_model", None, 'the file lacks "input_model".'),
        ("cache_dir", "x", '"cache_dir" is not used: each run has its own folder.'),
        ("passes/second", {"type": "TunesmithLoRA"}, 'only the pass "finetune" may train'),
        ("passes/second", {}, 'passes.second lacks "type".'),
    ],
)
def test_a_wrong_key_is_named_with_the_right_one(path: str, value: Any, said: str) -> None:
    findings = config.check(changed(path, value))
    assert len(findings) == 1
    assert said in findings[0].message


def test_another_pass_may_not_come_before_the_training() -> None:
    passes = {"merge": {"type": "MergeAdapterWeights"}, **GOOD["passes"]}
    assert "has to come first" in config.check({**GOOD, "passes": passes})[0].message


def test_later_passes_of_olive_are_left_alone() -> None:
    build = {"type": "ModelBuilder", "precision": "int4"}
    assert config.check(changed("passes/build", build)) == []


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"{", "config.notJson", "not valid JSON"),
        (b"\xff\xfe{", "config.unreadable", "not UTF-8"),
        (b"[]", "config.invalid", "the file is []; it has to be of type object."),
        (b"null", "config.invalid", "the file is null"),
    ],
)
def test_a_file_that_is_no_config_is_refused(
    tmp_path: Path, data: bytes, code: str, said: str
) -> None:
    path = tmp_path / "olive-config.json"
    path.write_bytes(data)
    with pytest.raises(TrainingFailed) as caught:
        config.load(path)
    assert caught.value.code == code
    assert said in caught.value.message


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "olive-config.json"
    path.write_text(json.dumps(GOOD), "utf-8-sig")
    assert config.load(path).model_path == GOOD["input_model"]["model_path"]
