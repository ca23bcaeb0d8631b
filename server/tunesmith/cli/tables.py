"""The few table shapes that all renderings share."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_GOOD = {"ok", "succeeded", "healthy", "ready", "running", "provisioned", "exists"}
_BAD = {"error", "failed", "unhealthy", "unreachable", "interrupted"}
_WARN = {
    "warning",
    "stopping",
    "stopped",
    "missing",
    "unprepared",
    "waiting",
    "starting",
    "queued",
    "created",
    "absent",
}


def list_table(*headings: str) -> Table:
    """A table of things: light head, no frame."""
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, show_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def print_facts(out: Console, rows: Sequence[tuple[str, str | Text]]) -> None:
    """Names on the left, values on the right; no value gets a line break that is copied with it."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        out.print(Text.assemble((name.ljust(width), "dim"), "  ", value), soft_wrap=True)


def state_text(state: str) -> Text:
    """A state in the colour that says whether to worry."""
    word = state.lower()
    style = "good" if word in _GOOD or word == "succeeded" else ""
    style = "bad" if word in _BAD else "warn" if word in _WARN else style
    return Text(state, style)
