"""Runs: the list, one run, its log."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from tunesmith.cli.tables import list_table, print_facts, state_text
from tunesmith.cli.units import ago, between
from tunesmith.core.messages import text
from tunesmith.core.runs import LogPage, Run, RunList

WIDE_COLUMNS = 120
EVENT_PREFIX = "::tunesmith::"


def show_run_list(out: Console, runs: RunList) -> None:
    """Newest first."""
    if not runs.runs:
        out.print(text("cli.run.none"))
        return
    is_wide = out.width >= WIDE_COLUMNS
    extra = ("Eval", "Method") if is_wide else ()
    times = ("Started", "Took") if is_wide else ("Started",)
    table = list_table("Run", "State", "Step", "Loss", *extra, "Model", *times)
    for column in table.columns:
        column.no_wrap = True
        column.overflow = "ellipsis"
    for run in runs.runs:
        more = (_figure(run.eval_loss), run.method or "-") if is_wide else ()
        table.add_row(
            Text(run.id, "bold"),
            state_text(run.state),
            f"{run.step}/{run.steps}" if run.steps else "-",
            _figure(run.loss),
            *more,
            run.model if is_wide else run.model.rpartition("/")[2],
            ago(run.started_at or run.created_at),
            *((between(run.started_at, run.ended_at) or "-",) if is_wide else ()),
        )
    # The model's name gives way; everything else stays whole.
    for column in table.columns:
        if column.header != "Model":
            column.min_width = max(len(str(cell)) for cell in column.cells)
    out.print(table)


def show_run(out: Console, run: Run) -> None:
    """One run with all that is known of it, and the step that suits its state."""
    rows: list[tuple[str, str | Text]] = [
        ("Run", Text(run.id, "bold")),
        ("State", state_text(run.state)),
    ]
    if run.reason:
        rows.append(("Why", run.reason))
    rows += [("Base model", run.model), ("Method", run.method or "-")]
    if run.steps:
        rows.append(("Step", f"{run.step} of {run.steps}"))
    if run.loss is not None:
        rows.append(("Loss", _figure(run.loss)))
    if run.eval_loss is not None:
        rows.append(("Eval loss", _figure(run.eval_loss)))
    rows.append(("Created", ago(run.created_at)))
    if took := between(run.started_at, run.ended_at):
        rows.append(("Took", took))
    if run.executions:
        rows.append(("Executions", ", ".join(run.executions)))
    if run.artifact:
        rows.append(("Made", run.artifact))
    print_facts(out, rows)
    step = {
        "running": "tunesmith run logs -f",
        "queued": "tunesmith run logs -f",
        "succeeded": "tunesmith run compare",
        "failed": "tunesmith run logs",
    }.get(run.state)
    if run.can_resume:
        step = "tunesmith run resume"
    if step:
        out.print(
            Text.assemble(("  " + text("cli.next") + " ", "hint"), (f"{step} {run.id}", "accent"))
        )


def show_log_page(out: Console, page: LogPage, *, with_lines: bool) -> None:
    """The log as it is; events are for programs and are left out."""
    if with_lines:
        for line in page.lines:
            if not line.startswith(EVENT_PREFIX):
                out.print(Text(line), soft_wrap=True)
        return
    if page.at_end:
        run = page.run
        words = Text.assemble(text("cli.run.ended", run=run.id), " ", state_text(run.state))
        if run.loss is not None:
            words.append(", " + text("cli.progress.loss", loss=_figure(run.loss)))
        if run.reason:
            words.append(f" ({run.reason})", "dim")
        out.print(words)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
