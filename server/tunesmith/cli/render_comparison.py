"""Before and after: what the base model and the tuned one answer to questions not in training."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunesmith.cli.tables import list_table
from tunesmith.cli.terminal import has_unicode
from tunesmith.core.log_lines import without_controls
from tunesmith.core.messages import text
from tunesmith.core.runs import Answer, Comparison

LEARNED_SHOWN = 8
MISSED_SHOWN = 3
ANSWER_CHARS = 120
BAR_CHARS = 20
GAP_CHARS = 3


def show_comparison(out: Console, comparison: Comparison) -> None:
    """The shares first, then examples: what was learned, then what is still wrong, so that nobody
    is shown only the good half."""
    learned, missed = pick_examples(comparison.answers)
    if learned or missed:
        table = list_table("", "Question", "Base model", "Tuned model")
        table.box = box.HORIZONTALS if has_unicode(out) else box.ASCII
        table.show_lines = True
        table.columns[0].no_wrap = True
        table.columns[1].ratio, table.columns[2].ratio, table.columns[3].ratio = 3, 4, 4
        table.expand = True
        for answer in (*learned, *missed):
            table.add_row(
                _mark(answer.tuned_right, out),
                answer.question,
                _said(answer.base, answer.base_right, answer.expected),
                _said(answer.tuned, answer.tuned_right, answer.expected),
            )
        out.print(table)
        hidden = len(comparison.answers) - len(learned) - len(missed)
        if hidden > 0:
            out.print(text("cli.compare.more", count=hidden), style="hint")
    out.print(_shares(comparison, out))


def pick_examples(answers: tuple[Answer, ...]) -> tuple[list[Answer], list[Answer]]:
    """Choose facts that were learned, one question a fact, and all kinds that the tuned model
    misses, facts first."""
    learned: list[Answer] = []
    seen: set[tuple[str, ...]] = set()
    for answer in answers:
        fresh = answer.expected not in seen
        if answer.kind == "fact" and answer.tuned_right and not answer.base_right and fresh:
            seen.add(answer.expected)
            learned.append(answer)
    missed = sorted(
        (answer for answer in answers if not answer.tuned_right), key=lambda a: a.kind != "fact"
    )
    return learned[:LEARNED_SHOWN], missed[:MISSED_SHOWN]


def _shares(comparison: Comparison, out: Console) -> Table:
    unicode = has_unicode(out)
    grid = Table.grid(padding=(0, GAP_CHARS, 0, 0))
    for justify in ("left", "right", "left", "right", "left"):
        grid.add_column(justify=justify, no_wrap=True)
    grid.add_row("", Text("base", "dim"), "", Text("tuned", "dim"), "")
    rows = (
        (
            text("cli.compare.facts"),
            comparison.facts_base,
            comparison.facts_tuned,
            comparison.facts_total,
        ),
        (
            text("cli.compare.general"),
            comparison.general_base,
            comparison.general_tuned,
            comparison.general_total,
        ),
    )
    # The bars take what the names and figures leave; on a narrow terminal they go, not those.
    taken = max(len(row[0]) for row in rows) + 2 * len("40/40") + 5 * GAP_CHARS
    width = min(BAR_CHARS, max(0, (out.width - taken) // 2))
    for name, base, tuned, total in rows:
        style = "good" if tuned >= base else "warn"
        grid.add_row(
            name,
            f"{base}/{total}",
            _bar(base, total, unicode, "dim", width),
            Text(f"{tuned}/{total}", f"bold {style}"),
            _bar(tuned, total, unicode, style, width),
        )
    return grid


def _bar(value: int, total: int, unicode: bool, style: str, width: int) -> Text:
    full = round(width * value / total) if total else 0
    on, off = ("█", "░") if unicode else ("#", ".")
    return Text.assemble((on * full, style), (off * (width - full), "dim"))


def _mark(right: bool, out: Console) -> Text:
    good, bad = ("✓", "✗") if has_unicode(out) else ("ok", "x")
    return Text(good, "good") if right else Text(bad, "bad")


def _said(answer: str, right: bool, expected: tuple[str, ...]) -> Text:
    """An answer on one line, cut, with the expected text marked where it is found."""
    flat = " ".join(without_controls(answer).split())
    if len(flat) > ANSWER_CHARS:
        flat = flat[: ANSWER_CHARS - 3].rstrip() + "..."
    words = Text(flat, "" if right else "dim")
    if right:
        for wanted in expected:
            at = flat.lower().find(wanted.lower())
            if at >= 0:
                words.stylize("bold green", at, at + len(wanted))
                break
    return words
