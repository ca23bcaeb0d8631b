"""Config and parameter files of infra/."""

from __future__ import annotations

import pytest
from tunesmith.core import infra_config
from tunesmith.core.templates import check_lock, digest

FILLED = {
    "SUBSCRIPTION_ID": "s",
    "RESOURCE_GROUP_NAME": "g",
    "STORAGE_ACCOUNT_NAME": "a",
    "FILE_SHARE_NAME": "f",
    "ACA_JOB_NAME": "j",
    "COMMANDS": ["one", "two"],
}


def test_filled_by_hand_counts_as_provisioned():
    found = infra_config.provisioned("finetuning", FILLED)
    assert found is not None
    assert (found.group, found.job, found.commands) == ("g", "j", ("one", "two"))


@pytest.mark.parametrize("key", infra_config.KEYS["finetuning"])
@pytest.mark.parametrize("value", [None, "", 3, []])
def test_a_missing_name_means_not_provisioned(key, value):
    assert infra_config.provisioned("finetuning", {**FILLED, key: value}) is None


def test_nulls_are_dropped_and_falsy_values_kept():
    content = {"parameters": {"a": {"value": None}, "b": {"value": 0}, "c": {"value": ""}, "d": {}}}
    assert infra_config.deployment_parameters(content) == {"b": 0, "c": ""}


def test_parameters_match_without_regard_to_case():
    template = {"parameters": {"acaJobName": {}}}
    known, unknown = infra_config.known_parameters({"AcaJobName": "x", "typo": 1}, template)
    assert known == {"acaJobName": "x"}
    assert unknown == ["typo"]


def test_outputs_get_their_names_back():
    template = {"outputs": {"ACA_JOB_NAME": {}, "COMMANDS": {}}}
    answered = {"acA_JOB_NAME": "j", "commands": ["c"], "other": 1}
    named = infra_config.upper_outputs(answered, template)
    assert named == {"ACA_JOB_NAME": "j", "COMMANDS": ["c"], "other": 1}


def test_commands_edited_by_hand_survive_provisioning():
    config = {**FILLED, "COMMANDS": ["mine"], "MY_OWN": 1}
    outputs = {**FILLED, "COMMANDS": ["default"], "ACA_JOB_NAME": "new"}
    merged = infra_config.merge_outputs(config, outputs, {"COMMANDS": ["old default"]})
    assert merged["COMMANDS"] == ["mine"]
    assert (merged["ACA_JOB_NAME"], merged["MY_OWN"]) == ("new", 1)


def test_commands_as_provisioned_follow_the_template():
    config = {**FILLED, "COMMANDS": ["old default"]}
    merged = infra_config.merge_outputs(
        config, {"COMMANDS": ["new default"]}, {"COMMANDS": ["old default"]}
    )
    assert merged["COMMANDS"] == ["new default"]


def test_null_commands_are_filled():
    merged = infra_config.merge_outputs({"COMMANDS": None}, {"COMMANDS": ["default"]}, None)
    assert merged["COMMANDS"] == ["default"]


def test_clearing_keeps_what_is_the_users():
    cleared = infra_config.cleared({**FILLED, "MY_OWN": 1}, "finetuning")
    assert cleared["ACA_JOB_NAME"] is None
    assert (cleared["COMMANDS"], cleared["MY_OWN"]) == (["one", "two"], 1)


def test_lock_sees_an_edited_bicep_and_module_but_not_the_other_kind():
    files = {"finetuning.bicep": b"a", "inference.bicep": b"b", "modules/m.bicep": b"c"}
    lock = {"v": 1, "sha256": {name: digest(content) for name, content in files.items()}}
    assert check_lock(lock, files, "finetuning").edited == ()
    assert check_lock(lock, {**files, "modules/m.bicep": b"C"}, "finetuning").edited == (
        "modules/m.bicep",
    )
    other = check_lock(lock, {**files, "inference.bicep": b"B"}, "finetuning")
    assert other.edited == ()


def test_line_ends_do_not_count_as_an_edit():
    lock = {"sha256": {"finetuning.bicep": digest(b"a\nb\n")}}
    assert check_lock(lock, {"finetuning.bicep": b"a\r\nb\r\n"}, "finetuning").edited == ()


def test_a_compiled_template_that_was_edited_is_seen():
    lock = {"sha256": {"finetuning.json": digest(b"{}")}}
    assert check_lock(lock, {"finetuning.json": b"{ }"}, "finetuning").json_edited
