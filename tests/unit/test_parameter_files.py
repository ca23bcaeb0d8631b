"""Parameters files against the template: what the service would refuse or leave out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tunesmith.core.parameter_files import check_parameters

FOLDER = Path(__file__).resolve().parents[2] / "infra/provision"
FILE = "infra/provision/finetuning.parameters.json"
TEMPLATE = json.loads((FOLDER / "finetuning.json").read_text("utf-8"))


def problems(parameters):
    content = parameters
    if not isinstance(parameters, str):
        content = json.dumps({"parameters": parameters}, indent=2)
    return check_parameters(FILE, content, TEMPLATE)


@pytest.mark.parametrize("kind", ["finetuning", "inference"])
def test_the_shipped_files_have_no_problem(kind):
    template = json.loads((FOLDER / f"{kind}.json").read_text("utf-8"))
    content = (FOLDER / f"{kind}.parameters.json").read_text("utf-8")
    assert check_parameters(FILE, content, template) == ()


def test_broken_json_is_told_with_its_place():
    [problem] = problems('{\n  "parameters": {\n    "timeout": {"value" 3}\n  }\n}')
    assert (problem.file, problem.line, problem.column) == (FILE, 3, 25)


@pytest.mark.parametrize("content", ["[]", "{}", '{"parameters": 3}'])
def test_a_file_without_parameters_is_an_error(content):
    assert [p.code for p in problems(content)] == ["parameters.noObject"]


def test_a_misspelt_name_is_an_error_with_the_right_one():
    [problem] = problems({"tiemout": {"value": 60}})
    assert (problem.line, problem.severity) == (3, "error")
    assert '"timeout"' in problem.hint


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("timeout", "soon", 'timeout is "soon"; it must be a whole number'),
        ("timeout", True, "whole number"),
        ("timeout", 5, "at least 60"),
        ("location", 3, "a text in quotes"),
        ("storageAccountName", "ab", "at least 3 characters"),
        ("defaultCommands", "ls", "a list"),
        ("defaultCommands", [1], "each part a text in quotes"),
    ],
)
def test_a_value_of_the_wrong_kind_is_an_error(name, value, said):
    [problem] = problems({name: {"value": value}})
    assert problem.line == 4
    assert said in problem.message


def test_what_the_service_takes_is_no_problem():
    good = {"TIMEOUT": {"value": 60}, "cpu": {"value": None}, "image": {"reference": {}}}
    assert problems(good) == ()


def test_an_entry_without_a_value_is_an_error():
    assert [p.code for p in problems({"timeout": 60})] == ["parameters.noValue"]
