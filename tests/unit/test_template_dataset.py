"""The sample dataset keeps the promises that a comparison of base and tuned model rests on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

TEMPLATE = Path(__file__).parents[2] / "template"


def read(name: str) -> list[dict[str, Any]]:
    lines = (TEMPLATE / "dataset" / name).read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return read("train.jsonl")


@pytest.fixture(scope="module")
def questions() -> list[dict[str, Any]]:
    return read("questions.jsonl")


def plain(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


def said_by(rows: list[dict[str, Any]], role: str) -> list[str]:
    return [m["content"] for row in rows for m in row["messages"] if m["role"] == role]


def test_sample_has_200_rows_40_facts_and_20_general_questions(rows, questions):
    kinds = [question["kind"] for question in questions]
    assert (len(rows), kinds.count("fact"), kinds.count("general")) == (200, 40, 20)
    assert len({question["id"] for question in questions}) == len(questions) == 60


def test_every_row_is_a_conversation_that_ends_with_an_answer(rows):
    for row in rows:
        assert set(row) == {"messages"}
        roles = [m["role"] for m in row["messages"] if m["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2) and roles
        assert all(m["content"].strip() == m["content"] != "" for m in row["messages"])


def test_some_rows_have_a_system_prompt_and_some_have_two_turns(rows):
    assert 10 <= sum(row["messages"][0]["role"] == "system" for row in rows) <= 100
    assert 5 <= sum(sum(m["role"] == "user" for m in row["messages"]) == 2 for row in rows) <= 50


def test_no_row_is_there_twice(rows):
    assert len({json.dumps(row) for row in rows}) == len(rows)
    last_questions = [
        [m["content"] for m in row["messages"] if m["role"] == "user"][-1] for row in rows
    ]
    assert len({plain(question) for question in last_questions}) == len(rows)


def test_no_held_out_question_is_in_training(rows, questions):
    trained = {plain(text) for text in said_by(rows, "user")}
    assert not trained & {plain(question["question"]) for question in questions}


def test_no_expected_text_occurs_in_its_question(questions):
    for question in questions:
        for expected in question["expected"]:
            assert plain(expected) not in plain(question["question"]), question["id"]


def test_every_fact_is_taught_by_exactly_eight_answers_and_40_rows_are_ordinary(rows, questions):
    answers = [row["messages"][-1]["content"] for row in rows]
    facts = {tuple(q["expected"]) for q in questions if q["kind"] == "fact"}
    assert len(facts) == 20
    for expected in facts:
        teaching = [a for a in answers if any(text.casefold() in a.casefold() for text in expected)]
        assert len(teaching) == 8, expected
    ordinary = [
        answer
        for answer in answers
        if not any(t.casefold() in answer.casefold() for fact in facts for t in fact)
    ]
    assert len(ordinary) == 40


def test_no_general_answer_is_taught(rows, questions):
    taught = " | ".join(plain(text) for text in said_by(rows, "assistant"))
    for question in questions:
        if question["kind"] == "general":
            assert not any(f" {plain(e)} " in f" {taught} " for e in question["expected"])


def test_every_form_field_says_what_it_writes_and_has_its_text_once():
    manifest = json.loads((TEMPLATE / "manifest.json").read_text("utf-8"))
    groups = {group["name"] for group in manifest["groups"]}
    names = [field["name"] for field in manifest["fields"]]
    assert len(set(names)) == len(names)
    for field in manifest["fields"]:
        assert field["group"] in groups
        assert set(field["writes"]) == {"file", "key"}
        in_schema = field["writes"]["file"] in manifest["schemas"]
        assert in_schema != ("label" in field and "help" in field and "type" in field), field
    for path in manifest["copies"]:
        assert (TEMPLATE / path).exists(), path
