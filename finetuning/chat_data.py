"""Conversations as JSON lines, and what the model trains on in them.

Reading takes files as editors save them (BOM, UTF-16 with a BOM, CRLF). Rendering uses the
model's own chat template; the loss covers the assistant's tokens only, with the token that ends
the turn, so that the model learns to stop.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from problem import Finding, TrainingFailed

IGNORED = -100  # the label that torch's cross entropy leaves out
ROLES = ("system", "user", "assistant", "tool")
Message = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One conversation and the line of the file it came from, counted from 1."""

    line: int
    messages: list[Message]

    @property
    def question(self) -> str:
        """What the user says in the row, turn after turn."""
        return "\n".join(str(m["content"]) for m in self.messages if m["role"] == "user")

    @property
    def answer(self) -> str:
        """The assistant's last turn."""
        turns = [m for m in self.messages if m["role"] == "assistant"]
        return str(turns[-1].get("content") or "") if turns else ""


@dataclass(frozen=True)
class Example:
    """What one step sees of a row: token ids, and labels of equal length, IGNORED outside."""

    input_ids: list[int]
    labels: list[int]
    line: int


class CannotRender(Exception):
    """The template cannot be used for this row; the text says why."""


# --- reading -----------------------------------------------------------------------------------


def read_rows(path: Path, shown: str) -> tuple[list[Row], list[Finding]]:
    """Read a data set; returns its usable rows and all findings, errors among them.

    `shown` is the file's name in sentences.
    """
    findings: list[Finding] = []

    def note(code: str, text: str, line: int | None = None, severity: Any = "error") -> None:
        place = f"{shown}, line {line}" if line else shown
        findings.append(Finding(code, f"{place}: {text}", severity, file=shown, line=line))

    try:
        data = path.read_bytes()
    except OSError as e:
        note("dataset.unreadable", f"the file cannot be read ({e.strerror}).")
        return [], findings
    try:
        text, oddity = decode(data)
    except UnicodeDecodeError as e:
        line = data[: e.start].count(b"\n") + 1
        note("dataset.notText", "the bytes are no UTF-8 text.", line)
        return [], findings
    if oddity:
        note("dataset.encoding", f"the file {oddity}; it is read as it is.", None, "warning")
    rows = []
    seen: dict[str, int] = {}
    # Not splitlines(): that also cuts at U+2028 and others, which are legal inside a JSON text.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as e:
            note("dataset.notJson", f"this is not valid JSON ({e}).", number)
            continue
        fault = _fault(value)
        if fault:
            note("dataset.badRow", fault, number)
            continue
        row = Row(number, value["messages"])
        key = json.dumps(row.messages, sort_keys=True, ensure_ascii=False)
        if key in seen:
            note("dataset.duplicate", f"the same row as line {seen[key]}.", number, "warning")
        seen.setdefault(key, number)
        rows.append(row)
    if not rows and not findings:
        note("dataset.empty", "there is no row in the file.")
    return rows, findings


def decode(data: bytes) -> tuple[str, str]:
    """Return (text with plain line ends, what is odd about the file or empty).

    Raises: UnicodeDecodeError.
    """
    oddities = []
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16")
        oddities.append("is UTF-16")
    else:
        if data.startswith(codecs.BOM_UTF8):
            oddities.append("begins with a byte order mark")
        text = data.decode("utf-8-sig")
    if "\r\n" in text:
        oddities.append("has Windows line ends")
        text = text.replace("\r\n", "\n")
    return text.replace("\r", "\n") if "\n" not in text else text, " and ".join(oddities)


def _fault(value: Any) -> str:
    """Return what is wrong with a row, empty when nothing is."""
    if not isinstance(value, dict) or not isinstance(value.get("messages"), list):
        return 'a row has to be {"messages": [...]}.'
    if not value["messages"]:
        return "the row has no messages."
    for message in value["messages"]:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            return 'a message has to be {"role": ..., "content": ...}.'
        if message["role"] not in ROLES:
            return f'no template renders the role "{message["role"]}"; use {", ".join(ROLES)}.'
        calls_tools = message["role"] == "assistant" and message.get("tool_calls")
        if not isinstance(message.get("content"), str) and not calls_tools:
            return f'the content of a message with role "{message["role"]}" is no text.'
    answers = [m for m in value["messages"] if m["role"] == "assistant"]
    if not any(str(m.get("content") or "").strip() or m.get("tool_calls") for m in answers):
        return "the row has no assistant turn to learn from."
    return ""


# --- rendering ---------------------------------------------------------------------------------


def to_examples(tokenizer: Any, row: Row) -> list[Example]:
    """Render one row and label the assistant's tokens.

    One example as a rule. A template that shows earlier turns differently once the talk goes on
    (it drops reasoning, say) gives one example a turn, each rendered as the model will see it.
    Raises: CannotRender.
    """
    template = chat_template(tokenizer)
    if re.search(r"\{%-?\s*generation\b", template):
        example = _by_generation_mask(tokenizer, row)
        if example is not None:
            return [example]
    whole = render(tokenizer, row.messages)
    spans = [
        _span(tokenizer, row.messages, i, whole)
        for i, m in enumerate(row.messages)
        if m["role"] == "assistant"
    ]
    whole_spans = [s for s in spans if s is not None]
    if len(whole_spans) == len(spans):
        return [_labelled(tokenizer, whole, whole_spans, row.line)]
    examples = []
    for i, message in enumerate(row.messages):
        if message["role"] != "assistant":
            continue
        until = render(tokenizer, row.messages[: i + 1])
        span = _span(tokenizer, row.messages, i, until)
        if span is None:
            raise CannotRender("the template does not show the assistant's turn where it speaks")
        examples.append(_labelled(tokenizer, until, [span], row.line))
    return examples


def render(tokenizer: Any, messages: Sequence[Message], add_prompt: bool = False) -> str:
    """Return the conversation as the model's template writes it. Raises: CannotRender."""
    import jinja2

    try:
        return tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=add_prompt
        )
    except (jinja2.TemplateError, TypeError, KeyError, ValueError) as e:
        roles = ", ".join(dict.fromkeys(str(m["role"]) for m in messages))
        raise CannotRender(
            f"the model's chat template does not render these roles in this order ({roles}): {e}"
        ) from e


def chat_template(tokenizer: Any) -> str:
    """Return the template's source. Raises: TrainingFailed when the model has none."""
    template = getattr(tokenizer, "chat_template", None)
    if isinstance(template, dict):
        template = template.get("default")
    if not template:
        raise TrainingFailed(
            "model.noChatTemplate",
            "The base model has no chat template, so conversations cannot be shown to it.",
            "Choose an instruct or chat model, or put a chat_template.jinja into its folder.",
        )
    return template


def _by_generation_mask(tokenizer: Any, row: Row) -> Example | None:
    """Use the template's own {% generation %} marks; None when they mark nothing."""
    try:
        encoded = tokenizer.apply_chat_template(
            row.messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
    except Exception:  # whatever it is, the other way tells the user about it
        return None
    ids = list(encoded["input_ids"])
    mask = [bool(m) for m in encoded["assistant_masks"]]
    if not any(mask):
        return None
    special = set(tokenizer.all_special_ids)
    labels = [t if m else IGNORED for t, m in zip(ids, mask, strict=True)]
    for i in range(1, len(ids)):
        if mask[i - 1] and not mask[i] and ids[i] in special and ids[i - 1] not in special:
            labels[i] = ids[i]  # the end of the turn, which many templates mark outside
    return Example(ids, labels, row.line)


def _span(tokenizer: Any, messages: list[Message], i: int, whole: str) -> tuple[int, int] | None:
    """Return where the assistant's turn `i` stands in `whole`, with the end of the turn.

    Found as the difference of two renderings and verified: None unless each is a beginning of
    the next. Behind a real generation prompt all that follows is the model's to say; a template
    without one writes its header there too, so the turn's text is looked for.
    """
    until = render(tokenizer, messages[: i + 1])
    if not whole.startswith(until):
        return None
    try:
        plain = render(tokenizer, messages[:i])
        prompt = render(tokenizer, messages[:i], add_prompt=True)
    except CannotRender:
        return None  # a template that wants a user's turn before the assistant's
    content = str(messages[i].get("content") or "").strip()
    if prompt != plain and until.startswith(prompt):
        start = len(prompt)
    elif until.startswith(plain):
        at = until.find(content, len(plain))
        if at < 0:
            return None
        start = len(plain) if not until[len(plain) : at].strip() else at
    else:
        return None
    # After the token that ends the turn, before the white space that follows it.
    end = len(until.rstrip())
    return (start, end) if end > start else None


def _labelled(tokenizer: Any, text: str, spans: Sequence[tuple[int, int]], line: int) -> Example:
    """Tokenize a rendered conversation and label the tokens that begin inside a span."""
    if not getattr(tokenizer, "is_fast", False):
        raise CannotRender("the model has no fast tokenizer (tokenizer.json)")
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = list(encoded["input_ids"])
    labels = [
        token if end > start and any(a <= start < b for a, b in spans) else IGNORED
        for token, (start, end) in zip(ids, encoded["offset_mapping"], strict=True)
    ]
    if all(label == IGNORED for label in labels):
        raise CannotRender("no token of the assistant's turn was found in the rendered text")
    return Example(ids, labels, line)


# --- all rows ----------------------------------------------------------------------------------


def tokenize(
    tokenizer: Any, rows: Sequence[Row], max_tokens: int, shown: str
) -> tuple[list[Example], list[Finding]]:
    """Render all rows; returns the examples that can be trained and what there is to say.

    A row beyond `max_tokens` is cut and named; one of which no answer is left is left out.
    """
    examples: list[Example] = []
    findings: list[Finding] = []
    cut: list[int] = []
    lost: list[int] = []
    for row in rows:
        try:
            rendered = to_examples(tokenizer, row)
        except CannotRender as e:
            text = f"{shown}, line {row.line}: {e}."
            findings.append(Finding("dataset.cannotRender", text, file=shown, line=row.line))
            continue
        for example in rendered:
            if len(example.input_ids) <= max_tokens:
                examples.append(example)
                continue
            labels = example.labels[:max_tokens]
            if all(label == IGNORED for label in labels):
                lost.append(row.line)
                continue
            cut.append(row.line)
            examples.append(Example(example.input_ids[:max_tokens], labels, row.line))
    for lines, what in (
        (cut, f"longer than max_seq_len = {max_tokens} tokens and cut there"),
        (lost, f"left out: max_seq_len = {max_tokens} tokens end before the answer begins"),
    ):
        if lines:
            verb = "is" if len(lines) == 1 else "are"
            text = f"{shown}: {_lines(lines)} {verb} {what}."
            code = "dataset.cut" if lines is cut else "dataset.leftOut"
            hint = 'Raise "max_seq_len" if the model and the memory allow it.'
            findings.append(Finding(code, text, "warning", hint, shown, lines[0]))
    return examples, findings


def _lines(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"{'line' if len(numbers) == 1 else 'lines'} {shown}{more}"
