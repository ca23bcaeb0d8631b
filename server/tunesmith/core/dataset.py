"""Checks of a dataset of conversations: every problem with its line, nothing read here.

One row is one line, `{"messages": [{"role", "content"}, ...]}`. What can be used is used and named
as a warning; what cannot is an error. Counting tokens needs a tokenizer and happens elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, cast

import orjson

from tunesmith.core.messages import text
from tunesmith.core.problems import Problem
from tunesmith.core.project import DatasetSummary
from tunesmith.core.text_lines import Encoding, Line, detect_encoding, split_lines

ROLES = ("system", "user", "assistant")
LINE_LIMIT_BYTES = 8 * 1024 * 1024
SHOWN_PER_CODE = 100
"""A file with one mistake repeated in every row shows it this often, then a count of the rest."""
CHARS_PER_TOKEN = 5.5
"""A high guess for prose, so that only rows that surely are too long are named."""

Severity = Literal["error", "warning"]
_ENCODING_NAMES: dict[Encoding, str] = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with BOM",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
}


@dataclass(frozen=True, slots=True)
class DatasetCheck:
    """What a check found. `summary.usable_rows` counts the rows without an error."""

    summary: DatasetSummary
    problems: tuple[Problem, ...]

    @property
    def has_errors(self) -> bool:
        """Whether training on this file is refused."""
        return any(problem.severity == "error" for problem in self.problems)


def problem_of_file(file: str, code: str, **context: object) -> Problem:
    """An error about a file as a whole; `code` is a key below [errors.dataset]."""
    return _problem(file, 0, 0, "error", code, context)


def refused(file: str, problem: Problem) -> DatasetCheck:
    """The check of a file that could not be read at all."""
    return DatasetCheck(DatasetSummary(file, 0, 0, ""), (problem,))


def check_rows(
    chunks: Iterable[bytes], *, file: str, max_seq_len: int | None = None
) -> DatasetCheck:
    """Check the bytes of a dataset, in one pass and bounded memory beside a hash of each row.

    `chunks` are the file's bytes, cut anywhere. `file` is the name shown. With `max_seq_len`
    (tokens) rows that must be longer are warned of.
    """
    stream = iter(chunks)
    head = _first_bytes(stream)
    encoding, mark = detect_encoding(head)
    findings = _Findings(file)
    if not head[mark:].strip():
        rest = next((chunk for chunk in stream if chunk.strip()), b"")
        if not rest:
            return refused(file, problem_of_file(file, "dataset.empty"))
        stream = chain((rest,), stream)
    if encoding.startswith("utf-8") and b"\x00" in head:
        return refused(file, problem_of_file(file, "dataset.binary"))
    if encoding == "utf-8-sig":
        findings.add(0, 0, "warning", "dataset.bom")
    elif encoding != "utf-8":
        findings.add(0, 0, "warning", "dataset.utf16")

    rows = usable = 0
    crlf = 0
    seen: dict[int, int] = {}
    lines = split_lines(chain((head[mark:],), stream), encoding, limit_bytes=LINE_LIMIT_BYTES)
    for line in lines:
        if line.data is not None and line.data.endswith(b"\r"):
            crlf += 1
        if line.data is not None and not line.bad_column and not line.data.strip():
            continue
        rows += 1
        row = _parse(line, findings, first=rows == 1)
        if row is _GIVE_UP:
            break
        if row is _BAD:
            continue
        if _check_row(row, line, findings, max_seq_len):
            usable += 1
            _note_duplicate(row, line.number, seen, findings)
    if crlf:
        findings.add(0, 0, "warning", "dataset.crlf")
    if rows == 0:
        return refused(file, problem_of_file(file, "dataset.empty"))
    summary = DatasetSummary(file, rows, usable, _ENCODING_NAMES[encoding])
    return DatasetCheck(summary, findings.sorted())


_BAD = object()
_GIVE_UP = object()


def _parse(line: Line, findings: _Findings, *, first: bool) -> Any:
    """The line's JSON value, _BAD after noting why there is none, _GIVE_UP when the whole file is
    in another shape, so that one mistake is not told a thousand times."""
    number = line.number
    if line.bad_column:
        findings.add(number, line.bad_column, "error", "dataset.notText")
        return _GIVE_UP
    if line.data is None:
        findings.add(
            number, 0, "error", "dataset.lineTooLong", limit_mib=LINE_LIMIT_BYTES // 1024**2
        )
        return _BAD
    try:
        return orjson.loads(line.data)
    except orjson.JSONDecodeError as error:
        try:
            decoded = line.data.decode("utf-8")
        except UnicodeDecodeError as no_text:
            column = len(line.data[: no_text.start].decode("utf-8")) + 1
            findings.add(number, column, "error", "dataset.notText")
            return _BAD
        if first and decoded.strip().startswith("["):
            findings.add(number, 1, "error", "dataset.array")
            return _GIVE_UP
        if first and decoded.strip() == "{":
            findings.add(number, 1, "error", "dataset.spread")
            return _GIVE_UP
        if not line.terminated and not first:
            findings.add(number, error.colno, "error", "dataset.lastLineCut")
        else:
            findings.add(
                number, error.colno, "error", "dataset.invalidJson", reason=_reason(error.msg)
            )
        return _BAD


def _reason(message: str) -> str:
    """The parser's reason without the position, which is told beside it."""
    return message.split(": line ", 1)[0].strip().rstrip(".") or "unexpected character"


def _check_row(row: Any, line: Line, findings: _Findings, max_seq_len: int | None) -> bool:
    """Note what is wrong with one row. True when it can be trained on."""
    number = line.number

    def error(code: str, **context: object) -> bool:
        findings.add(number, 0, "error", code, **context)
        return False

    if not isinstance(row, dict):
        if isinstance(row, list) and number == 1:
            return error("dataset.array")
        return error("dataset.notObject", found=_kind(cast("object", row)))
    messages = cast("dict[str, Any]", row).get("messages")
    if messages is None:
        keys = ", ".join(list(cast("dict[str, Any]", row))[:4]) or "nothing"
        return error("dataset.noMessages", keys=keys)
    if not isinstance(messages, list):
        return error("dataset.messagesType", found=_kind(messages))
    usable = True
    answers = 0
    previous = ""
    turns = cast("list[Any]", messages)
    chars = 0
    for index, message in enumerate(turns, start=1):
        if not isinstance(message, dict):
            usable = error("dataset.messageType", index=index, found=_kind(message))
            continue
        fields = cast("dict[str, Any]", message)
        role, content = fields.get("role"), fields.get("content")
        if not isinstance(role, str):
            usable = error("dataset.roleType", index=index, found=_kind(role))
        elif role not in ROLES:
            usable = error(
                "dataset.unknownRole", index=index, role=role[:40], known=", ".join(ROLES)
            )
        if not isinstance(content, str):
            usable = error("dataset.contentType", index=index, found=_kind(content))
            continue
        chars += len(content)
        blank = not content or content.isspace()
        if role == "assistant":
            answers += 1
            if blank:
                usable = error("dataset.emptyAnswer", index=index)
        elif blank and role in ROLES:
            findings.add(number, 0, "warning", "dataset.emptyMessage", index=index, role=role)
        if role == "system" and index > 1:
            findings.add(number, 0, "warning", "dataset.systemNotFirst", index=index)
        elif role == previous and role in ROLES:
            findings.add(number, 0, "warning", "dataset.sameRoleTwice", index=index, role=role)
        previous = role if isinstance(role, str) else ""
    if usable and not answers:
        return error("dataset.noAnswer")
    if not usable:
        return False
    if previous != "assistant":
        findings.add(number, 0, "warning", "dataset.lastNotAnswer", role=previous)
    if max_seq_len and chars > max_seq_len * CHARS_PER_TOKEN:
        findings.add(
            number,
            0,
            "warning",
            "dataset.rowLong",
            tokens=int(chars / CHARS_PER_TOKEN),
            limit=max_seq_len,
        )
    return True


def _note_duplicate(row: Any, number: int, seen: dict[int, int], findings: _Findings) -> None:
    key = hash(orjson.dumps(row["messages"], option=orjson.OPT_SORT_KEYS))
    first = seen.setdefault(key, number)
    if first != number:
        findings.add(number, 0, "warning", "dataset.duplicate", first=f"{first:,}")


def _kind(value: object) -> str:
    """What JSON calls a value's type."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"


def _first_bytes(stream: Iterator[bytes]) -> bytes:
    """Enough bytes for a byte order mark and for a look at what the file is."""
    head = b""
    for chunk in stream:
        head += chunk
        if len(head) >= 4:
            break
    return head


def _problem(
    file: str, line: int, column: int, severity: Severity, code: str, context: dict[str, object]
) -> Problem:
    return Problem(
        file,
        line,
        column,
        severity,
        code,
        text(f"errors.{code}.message", file=file, **context),
        text(f"errors.{code}.hint", file=file, **context),
    )


@dataclass(slots=True)
class _Findings:
    """Collects problems, at most SHOWN_PER_CODE of one code, and counts the rest."""

    file: str
    kept: list[Problem] = field(default_factory=list[Problem])
    counts: Counter[tuple[Severity, str]] = field(default_factory=Counter[tuple[Severity, str]])

    def add(self, line: int, column: int, severity: Severity, code: str, **context: object) -> None:
        self.counts[(severity, code)] += 1
        if self.counts[(severity, code)] <= SHOWN_PER_CODE:
            self.kept.append(_problem(self.file, line, column, severity, code, context))

    def sorted(self) -> tuple[Problem, ...]:
        """Errors first, then by line; one closing entry for each code that was cut short."""
        for (severity, code), count in self.counts.items():
            if count > SHOWN_PER_CODE:
                more: dict[str, object] = {"count": f"{count - SHOWN_PER_CODE:,}", "code": code}
                last = max(p.line for p in self.kept if p.code == code)
                found = _problem(self.file, last, 0, severity, "dataset.more", more)
                self.kept.append(found)
        order = {"error": 0, "warning": 1, "info": 2}
        return tuple(sorted(self.kept, key=lambda p: (order[p.severity], p.line, p.column)))
