"""The dataset check names every problem with file, line and a next step, and uses what it can."""

from __future__ import annotations

import json
import os
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tunesmith.core import dataset
from tunesmith.core.dataset import DatasetCheck, check_rows
from tunesmith.ops.dataset_file import check_dataset

FILE = "dataset/train.jsonl"


def row(question: str = "How long?", answer: str = "27 months.", **more: object) -> str:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": turns, **more}, ensure_ascii=False)


def turns(*messages: object) -> str:
    return json.dumps({"messages": list(messages)})


GOOD = "".join(row(f"Question {n}?") + "\n" for n in range(3)).encode()
USER = {"role": "user", "content": "Hello"}
ANSWER = {"role": "assistant", "content": "Hi"}


def check(data: bytes, expect: list[tuple[str, str, int, int]], usable: int) -> DatasetCheck:
    """Check `data` and compare (severity, code, line, column) of all problems, in order."""
    result = check_rows([data], file=FILE)
    found = [(p.severity, p.code, p.line, p.column) for p in result.problems]
    assert found == expect
    assert result.summary.usable_rows == usable
    for problem in result.problems:
        assert problem.file == FILE
        assert problem.message and problem.hint
        assert "{" not in problem.message
    return result


def test_good_rows_have_no_problem():
    check(GOOD, [], 3)


def test_a_last_line_without_line_feed_and_blank_lines_are_fine():
    check(b"\n" + GOOD + b"\n\n" + row("Last?").encode(), [], 4)


def test_byte_order_mark_is_a_warning_and_the_rows_are_used():
    result = check(b"\xef\xbb\xbf" + GOOD, [("warning", "dataset.bom", 0, 0)], 3)
    assert not result.has_errors


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_with_mark_is_a_warning_and_the_rows_are_used(encoding):
    mark = "\ufeff".encode(encoding)
    data = mark + (GOOD.decode() + row("Größe? 日本 🚲")).encode(encoding)
    result = check(data, [("warning", "dataset.utf16", 0, 0)], 4)
    assert result.summary.encoding == "UTF-16"


def test_windows_line_ends_are_one_warning_and_the_rows_are_used():
    check(GOOD.replace(b"\n", b"\r\n"), [("warning", "dataset.crlf", 0, 0)], 3)


def test_duplicate_rows_are_warned_of_with_the_first_line():
    data = GOOD + row("Question 0?").encode() + b"\n"
    result = check(data, [("warning", "dataset.duplicate", 4, 0)], 4)
    assert "line 1" in result.problems[0].message


def test_invalid_json_at_line_4711_is_named_with_line_and_column():
    lines = [row(f"Question {n}?") for n in range(5000)]
    lines[4710] = '{"messages": [}'
    data = "\n".join(lines).encode() + b"\n"
    result = check(data, [("error", "dataset.invalidJson", 4711, 15)], 4999)
    assert result.has_errors


def test_every_invalid_line_is_named_not_only_the_first():
    data = GOOD + b"{nope\n" + GOOD.replace(b"Question", b"Matter") + b"nope\n\xff\xfe\n"
    check(
        data,
        [
            ("error", "dataset.invalidJson", 4, 2),
            ("error", "dataset.invalidJson", 8, 1),
            ("error", "dataset.notText", 9, 1),
        ],
        6,
    )


def test_bytes_that_are_no_text_are_named_with_line_and_column():
    data = GOOD + row("Größe?").encode("latin-1") + b"\n"
    column = row("Größe?").index("ö") + 1
    check(data, [("error", "dataset.notText", 4, column)], 3)


def test_half_a_character_at_the_end_of_utf16_is_named_with_its_line():
    data = b"\xff\xfe" + GOOD.decode().encode("utf-16-le") + b"{"
    expect = [("error", "dataset.notText", 4, 1), ("warning", "dataset.utf16", 0, 0)]
    check(data, expect, 3)


@pytest.mark.parametrize(
    "data", [b"\x1f\x8b\x08\x00" + bytes(range(64)), "{}\n".encode("utf-16-le") * 9]
)
def test_a_file_that_is_not_text_is_one_error(data):
    check(data, [("error", "dataset.binary", 0, 0)], 0)


@pytest.mark.parametrize("data", [b"", b"\n", b"  \r\n\n", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_file_is_an_error(data):
    check(data, [("error", "dataset.empty", 0, 0)], 0)


def test_a_file_that_starts_with_blank_chunks_is_read():
    result = check_rows([b"\n\n\n\n", b"   \n", GOOD], file=FILE)
    assert result.summary.usable_rows == 3
    assert not result.problems


def test_a_last_line_that_breaks_off_is_told_apart_from_a_typo():
    check(GOOD + row("Cut?").encode()[:-20], [("error", "dataset.lastLineCut", 4, 80)], 3)


def test_a_json_list_and_a_pretty_printed_file_are_one_error_each():
    objects = [json.loads(line) for line in GOOD.splitlines()]
    check(json.dumps(objects).encode(), [("error", "dataset.array", 1, 0)], 0)
    check(json.dumps(objects, indent=2).encode(), [("error", "dataset.array", 1, 1)], 0)
    check(json.dumps(objects[0], indent=2).encode(), [("error", "dataset.spread", 1, 1)], 0)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (turns(USER), "noAnswer"),
        (turns(), "noAnswer"),
        (turns(USER, {"role": "assistant", "content": ""}), "emptyAnswer"),
        (turns(USER, {"role": "assistant", "content": " \n"}), "emptyAnswer"),
        (turns(USER, {"role": "bot", "content": "Hi"}), "unknownRole"),
        (turns(USER, {"role": 7, "content": "Hi"}), "roleType"),
        (turns(USER, {"content": "Hi"}), "roleType"),
        (turns(USER, {"role": "assistant", "content": ["Hi"]}), "contentType"),
        (turns(USER, {"role": "assistant"}), "contentType"),
        (turns("Hello"), "messageType"),
        ('{"messages": "Hello"}', "messagesType"),
        ('{"prompt": "Hello", "completion": "Hi"}', "noMessages"),
        ("{}", "noMessages"),
        ("17", "notObject"),
        ("null", "notObject"),
        ('["a"]', "notObject"),
    ],
)
def test_a_row_that_cannot_be_trained_on_is_an_error_at_its_line(line, code):
    check(GOOD + line.encode() + b"\n", [("error", f"dataset.{code}", 4, 0)], 3)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (turns(USER, ANSWER, USER), "lastNotAnswer"),
        (turns(USER, {"role": "system", "content": "Be kind"}, ANSWER), "systemNotFirst"),
        (turns(USER, USER, ANSWER), "sameRoleTwice"),
        (turns({"role": "user", "content": ""}, ANSWER), "emptyMessage"),
    ],
)
def test_an_odd_row_is_used_with_a_warning(line, code):
    check(GOOD + line.encode() + b"\n", [("warning", f"dataset.{code}", 4, 0)], 4)


def test_all_problems_of_one_row_are_named():
    line = turns({"role": "bot", "content": 1}, {"role": "assistant", "content": ""})
    codes = [p.code for p in check_rows([line.encode()], file=FILE).problems]
    assert codes == ["dataset.unknownRole", "dataset.contentType", "dataset.emptyAnswer"]


def test_a_huge_line_is_refused_without_being_held(monkeypatch):
    monkeypatch.setattr(dataset, "LINE_LIMIT_BYTES", 1024 * 1024)
    huge = (b"x" * 65536 for _ in range(100))
    result = check_rows([GOOD, *huge, b"\n", row("After?").encode()], file=FILE)
    assert [(p.code, p.line) for p in result.problems] == [("dataset.lineTooLong", 4)]
    assert result.summary.usable_rows == 4


def test_a_row_longer_than_the_context_is_warned_of():
    data = GOOD + row(answer="word " * 2000).encode() + b"\n"
    result = check_rows([data], file=FILE, max_seq_len=512)
    assert [(p.severity, p.code, p.line) for p in result.problems] == [
        ("warning", "dataset.rowLong", 4)
    ]
    assert result.summary.usable_rows == 4


def test_one_mistake_in_every_row_is_not_told_ten_thousand_times():
    data = b"".join(
        turns({"role": "user", "content": str(n)}).encode() + b"\n" for n in range(10000)
    )
    result = check_rows([data], file=FILE)
    assert len(result.problems) == 101
    assert "9,900 more" in result.problems[-1].message


@given(cuts=st.lists(st.integers(0, 400), max_size=6), seed=st.integers(0, 3))
def test_where_the_bytes_are_cut_into_chunks_changes_nothing(cuts, seed):
    lines = [row("Größe 🚲?"), turns(USER), "{nope", row("b"), row("b")]
    random.Random(seed).shuffle(lines)
    mark, encoding = [(b"", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xef\xbb\xbf", "utf-8")][
        seed % 3
    ]
    data = mark + "\r\n".join(lines).encode(encoding)
    edges = [0, *sorted(cuts), len(data)]
    chunks = [data[a:b] for a, b in pairwise(edges)]
    assert check_rows(chunks, file=FILE) == check_rows([data], file=FILE)


def test_a_missing_file_a_folder_and_an_unreadable_file_are_errors(tmp_path: Path):
    def code(path: Path) -> list[str]:
        result = check_dataset(path, shown_as=FILE)
        assert result.has_errors
        return [p.code for p in result.problems]

    assert code(tmp_path / "none.jsonl") == ["dataset.notFound"]
    assert code(tmp_path) == ["dataset.directory"]
    locked = tmp_path / "locked.jsonl"
    locked.write_bytes(GOOD)
    locked.chmod(0)
    if os.access(locked, os.R_OK):  # root reads everything: a loop of links fails for it as well
        locked.unlink()
        locked.symlink_to(locked)
    assert code(locked) == ["dataset.unreadable"]


def test_the_sample_dataset_is_clean():
    sample = Path(__file__).parents[2] / "template" / FILE
    result = check_dataset(sample, shown_as=FILE)
    assert result.problems == ()
    assert result.summary.usable_rows == 200
