"""Problems of a run config, with the place where they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tunesmith.core.run_config import read_config

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "finetuning/olive-config.schema.json").read_text("utf-8"))
CONFIG = (ROOT / "finetuning/olive-config.json").read_text("utf-8")


def problems(text, schema=SCHEMA):
    return [(p.line, p.code, p.message, p.hint) for p in read_config(text, schema).problems]


def edited(old, new):
    assert old in CONFIG
    return CONFIG.replace(old, new, 1)


def line_of(text, part):
    return next(n for n, line in enumerate(text.split("\n"), 1) if part in line)


def test_the_shipped_config_has_no_problem():
    assert problems(CONFIG) == []


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ('"r": 16', '"r": "lots"', "config.value", "passes.finetune.r"),
        ('"r": 16', '"r": -1', "config.value", "passes.finetune.r"),
        ('"alpha": 32', '"alfa": 32', "config.unknownKeyNear", "alfa"),
        ('"TunesmithAuto"', '"QLoRA2"', "config.value", "type"),
        ('"num_train_epochs": 4', '"num_train_epochs": 0', "config.value", "num_train_epochs"),
    ],
)
def test_a_bad_value_is_named_with_its_line(old, new, code, said):
    text = edited(old, new)
    found = problems(text)
    assert [(line, c) for line, c, _, _ in found] == [(line_of(text, new), code)]
    assert said in found[0][2]
    assert found[0][3]


def test_broken_json_says_where():
    text = edited('"r": 16,', '"r": 16')
    [(line, code, _, _)] = problems(text)
    assert code == "config.syntax"
    assert line == line_of(text, '"alpha"')


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "null"])
def test_no_object(text):
    assert [code for _, code, _, _ in problems(text)] == ["config.noObject"]


def test_missing_model_and_pass_without_a_schema():
    codes = [code for _, code, _, _ in problems("{}", schema=None)]
    assert codes == ["config.missing", "config.missing"]


def test_a_broken_schema_is_a_problem_not_a_crash():
    codes = [code for _, code, _, _ in problems(CONFIG, {"type": 7})]
    assert codes == ["config.schemaBroken"]


def test_unusable_means_an_error():
    assert read_config(CONFIG, SCHEMA).is_usable
    assert not read_config("{", SCHEMA).is_usable


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"r": 16', '"r": "many"', 'passes.finetune.r is "many"; it must be a whole number'),
        ('"r": 16', '"r": -4', "passes.finetune.r is -4; it must be at least 1"),
        ('"TunesmithAuto"', '"Magic"', 'must be one of "TunesmithAuto", "TunesmithLoRA"'),
        (
            '"target_modules": "all-linear"',
            '"target_modules": 3',
            "must be a text in quotes or a list",
        ),
        ('"dataset/questions.jsonl"', "3", "must be a text in quotes or null"),
        ('"alpha": 32', '"alpha": 0', "more than 0"),
    ],
)
def test_a_value_is_told_in_plain_words(old, new, said):
    messages = [message for _, _, message, _ in problems(edited(old, new))]
    assert any(said in message for message in messages), messages


def test_each_omission_is_told_once():
    assert [message.split(" ")[0] for _, _, message, _ in problems("{}")] == [
        "input_model.model_path",
        "passes.finetune.type",
    ]


def test_no_steps_at_all_is_no_limit_and_said_so():
    config = json.loads(CONFIG)
    config["passes"]["finetune"].setdefault("training_args", {})["max_steps"] = 0
    [problem] = read_config(json.dumps(config), SCHEMA).problems
    assert (problem.severity, problem.code) == ("warning", "config.noLimit")
