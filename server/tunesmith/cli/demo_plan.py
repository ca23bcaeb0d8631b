"""What the demo is about to do, as the same kind of plan that every command shows."""

from __future__ import annotations

from tunesmith.core.messages import text
from tunesmith.core.plan import Action, Plan, PlanRow

_ROWS: tuple[tuple[Action, str], ...] = (
    ("check", "prepare"),
    ("create", "project"),
    ("create", "provision"),
    ("upload", "push"),
    ("run", "train"),
    ("run", "compare"),
    ("create", "serve"),
    ("run", "ask"),
)


def demo_plan(folder: str, *, project_exists: bool) -> Plan:
    """The stages; a project that is there already is kept, and with it whatever fits it still."""
    rows = [
        PlanRow(action, text(f"cli.demo.stage.{key}"), text(f"cli.demo.about.{key}", folder=folder))
        for action, key in _ROWS
    ]
    if project_exists:
        kept = text("cli.demo.keptProject", folder=folder)
        rows[1] = PlanRow("keep", rows[1].subject, kept)
    return Plan(text("cli.demo.title"), tuple(rows), text("cli.demo.cost"))
