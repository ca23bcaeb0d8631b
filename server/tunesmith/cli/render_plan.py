"""A plan as a table: what would be done, what it costs, what to mind."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunesmith.cli.terminal import has_unicode
from tunesmith.core.messages import text
from tunesmith.core.plan import Action, Plan

_MARKS: dict[Action, tuple[str, str, str]] = {
    # action: mark, mark in ASCII, style
    "create": ("+", "+", "good"),
    "update": ("~", "~", "warn"),
    "delete": ("-", "-", "bad"),
    "keep": ("=", "=", "dim"),
    "upload": ("↑", "^", "good"),
    "download": ("↓", "v", "good"),
    "run": ("▶", ">", "accent"),
    "check": ("✓", "*", "dim"),
}
ROWS_SHOWN = 24


def show_plan_table(console: Console, plan: Plan) -> None:
    """Print a plan; beyond ROWS_SHOWN rows the rest is counted, not listed."""
    console.print(Text(plan.title, "bold"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold", style="dim")
    unicode = has_unicode(console)
    for row in plan.rows[:ROWS_SHOWN]:
        mark, ascii_mark, style = _MARKS[row.action]
        label = Text(f"  {mark if unicode else ascii_mark} {row.action}", style)
        grid.add_row(label, Text(row.subject, "dim" if row.action == "keep" else ""), row.detail)
    if plan.rows:
        console.print(grid)
    if len(plan.rows) > ROWS_SHOWN:
        console.print(
            text("cli.plan.more", count=len(plan.rows) - ROWS_SHOWN), style="dim", soft_wrap=True
        )
    for warning in plan.warnings:
        console.print(Text.assemble("  ", (text("cli.warning"), "warn"), " ", warning))
    if plan.cost:
        console.print(Text.assemble(("  " + text("cli.plan.cost") + " ", "dim"), plan.cost))
