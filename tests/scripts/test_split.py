from __future__ import annotations

import json
import random

from chat_data import Row
from conftest import REPOSITORY
from split import Split, groups_of_similar, leaks, shingles_of, similarity, split


def row(line: int, question: str, answer: str) -> Row:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return Row(line, messages)


def made_up(facts: int) -> list[Row]:
    """Facts with four wordings each, every wording once more with a small change."""
    wordings = [
        "How much is the {} supposed to cost me this year?",
        "Give me the price somebody pays for one {}.",
        "What do you charge if I order the {} today?",
        "I am thinking of buying that {}, tell me the cost.",
    ]
    names = [f"{a}{b}" for a in ("bo", "ka", "ri", "mu", "zel") for b in ("lan", "dor", "mix", "t")]
    rows = []
    for fact in range(facts):
        for wording in wordings:
            question = wording.format(names[fact])
            rows.append(row(len(rows) + 1, question, f"It costs {fact + 3} coins."))
            rows.append(row(len(rows) + 1, f"{question.upper()}!", f"It costs {fact + 3} coins."))
    random.Random(1).shuffle(rows)
    return rows


def test_near_duplicates_stay_on_one_side() -> None:
    for seed in range(5):
        parts = split(made_up(20), 0.1, seed)
        assert len(parts.train) + len(parts.held_out) == 160
        assert 8 <= len(parts.held_out) <= 24
        assert leaks(parts) == []


def test_the_template_data_set_splits_without_leaks() -> None:
    path = REPOSITORY / "template/dataset/train.jsonl"
    lines = path.read_text("utf-8").splitlines()
    rows = [Row(i, json.loads(x)["messages"]) for i, x in enumerate(lines, 1)]
    parts = split(rows, 0.1, 42)
    assert 15 <= len(parts.held_out) <= 30
    assert parts.threshold == 0.6
    assert leaks(parts) == []


def test_the_leak_test_finds_a_leak() -> None:
    a, b = row(1, "How long does the battery last?", "x"), row(2, "how long does battery last", "x")
    assert leaks(Split([a], [b], 0.6)) == [(a, b)]


def test_equal_seeds_split_equally_and_keep_the_order_of_the_file() -> None:
    rows = made_up(20)
    assert split(rows, 0.1, 3) == split(rows, 0.1, 3)
    assert split(rows, 0.1, 3) != split(rows, 0.1, 4)
    lines = [rows.index(r) for r in split(rows, 0.1, 3).train]
    assert lines == sorted(lines)


def test_every_held_out_answer_is_still_taught() -> None:
    parts = split(made_up(20), 0.1, 0)
    assert {r.answer for r in parts.held_out} <= {r.answer for r in parts.train}


def test_nothing_is_held_out_of_few_rows_or_on_request() -> None:
    rows = made_up(20)
    assert split(rows[:9], 0.5, 0).held_out == []
    assert split(rows, 0.0, 0).held_out == []


def test_groups_equal_those_of_comparing_every_pair() -> None:
    questions = [r.question for r in made_up(15)]
    shingles = [shingles_of(q) for q in questions]
    groups = groups_of_similar(questions, 0.6)
    group_of = {i: g for g, members in enumerate(groups) for i in members}
    for i, a in enumerate(shingles):
        for j in range(i):
            if similarity(a, shingles[j]) >= 0.6:
                assert group_of[i] == group_of[j], (questions[i], questions[j])


def test_many_equal_questions_stay_quick() -> None:
    questions = ["What is it?"] * 1000 + [f"Where is number {i} of {i * 7}?" for i in range(1000)]
    groups = groups_of_similar(questions, 0.6)
    assert len(groups[0]) == 1000
