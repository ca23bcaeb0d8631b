"""Results for people: which rendering shows which type. One result type, one function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text

from tunesmith.cli.endpoint_key import EndpointKey
from tunesmith.cli.render_comparison import show_comparison
from tunesmith.cli.render_plan import show_plan_table
from tunesmith.cli.render_project import show_check, show_created, show_project
from tunesmith.cli.render_runs import show_log_page, show_run, show_run_list
from tunesmith.cli.tables import list_table, print_facts, state_text
from tunesmith.cli.terminal import Terminal
from tunesmith.cli.units import duration, size
from tunesmith.core.doctor import DoctorReport
from tunesmith.core.endpoints import Endpoint, EndpointAnswer, EndpointDeployed, EndpointLink
from tunesmith.core.infra import InfraResult, InfraStatus
from tunesmith.core.log_lines import without_controls
from tunesmith.core.messages import text
from tunesmith.core.plan import Plan
from tunesmith.core.project import CheckReport, CreatedProject, Project
from tunesmith.core.runs import Comparison, LogPage, Run, RunList, RunStarted
from tunesmith.core.sync import SyncResult
from tunesmith.core.targets import ImageStatus, TargetStatus


def show_plan(terminal: Terminal, plan: Plan) -> None:
    """Print a plan where questions are asked, so that a pipe gets only the result."""
    show_plan_table(terminal.err, plan)


def show(terminal: Terminal, name: str, params: Any, result: Any) -> None:
    """Print the result of the operation `name` on stdout."""
    out = terminal.out
    if name == "infra/destroy" and not result.plan.changes:
        out.print(text("cli.infra.nothingDown"))
        return
    plan = getattr(result, "plan", None)
    if plan is not None and not result.applied:
        show_plan_table(out, plan)
        return
    if isinstance(result, LogPage):
        # A followed log has passed by already, line by line.
        show_log_page(out, result, with_lines=not params.follow)
        return
    renderings: dict[type[Any], Callable[[Console, Any], None]] = {
        CreatedProject: show_created,
        Project: show_project,
        CheckReport: show_check,
        Run: show_run,
        RunList: show_run_list,
        Comparison: show_comparison,
        RunStarted: _show_started,
        InfraResult: _show_infra_result,
        InfraStatus: _show_infra_status,
        SyncResult: _show_sync,
        Endpoint: _show_endpoint,
        EndpointDeployed: _show_deployed,
        EndpointLink: _show_link,
        EndpointAnswer: _show_answer,
        EndpointKey: _show_key,
        TargetStatus: _show_target,
        DoctorReport: _show_doctor,
    }
    renderings[type(result)](out, result)


def _next(out: Console, *lines: str) -> None:
    for line in lines:
        words = Text.assemble(("  " + text("cli.next") + " ", "hint"), (line, "accent"))
        out.print(words, soft_wrap=True)


def _show_started(out: Console, result: RunStarted) -> None:
    if result.run is None:
        return
    out.print(Text.assemble(text("cli.run.started"), " ", (result.run.id, "bold")))
    _next(out, "tunesmith run logs -f", "tunesmith run stop")


def _show_infra_result(out: Console, result: InfraResult) -> None:
    gone = any(row.action == "delete" for row in result.plan.rows)
    out.print(Text(text("cli.infra.gone" if gone else "cli.infra.done", kind=result.kind), "good"))
    rows = [(name, str(value)) for name, value in result.outputs.items() if value is not None]
    rows = [(name, value) for name, value in rows if name.lower() != "commands"]
    if rows:
        print_facts(out, rows)
    if result.portal_url:
        words = Text.assemble((text("cli.infra.page") + " ", "hint"), (result.portal_url, "accent"))
        out.print(words, soft_wrap=True)


def _show_infra_status(out: Console, status: InfraStatus) -> None:
    if not status.exists:
        out.print(text("cli.infra.nothing"))
        _next(out, "tunesmith infra apply")
        return
    print_facts(out, [("Resource group", status.resource_group), ("Location", status.location)])
    table = list_table("Resource", "Type", "State")
    for resource in status.resources:
        table.add_row(resource.name, Text(resource.type, "dim"), state_text(resource.state))
    out.print(table)


def _show_sync(out: Console, result: SyncResult) -> None:
    if result.applied:
        key = "cli.sync.moved" if result.files or result.deleted else "cli.sync.same"
        out.print(
            text(
                key,
                files=result.files,
                size=size(result.size_bytes),
                deleted=result.deleted,
                time=duration(result.seconds),
            )
        )
    for path in result.conflicts:
        out.print(Text.assemble((text("cli.sync.conflict"), "warn"), " ", path))


def _show_endpoint(out: Console, endpoint: Endpoint) -> None:
    rows: list[tuple[str, str | Text]] = [
        ("Endpoint", endpoint.name or "-"),
        ("State", state_text(endpoint.state)),
    ]
    if endpoint.url:
        rows.append(("Address", Text(endpoint.url, "accent")))
    if endpoint.run_id:
        rows.append(("Serves run", endpoint.run_id))
    if endpoint.base_model:
        rows.append(("Base model", endpoint.base_model))
    if endpoint.detail:
        rows.append(("Detail", endpoint.detail))
    print_facts(out, rows)
    if endpoint.state == "healthy":
        _next(out, "tunesmith endpoint open")
    elif endpoint.state in ("absent", "stopped"):
        _next(out, "tunesmith endpoint deploy")


def _show_deployed(out: Console, result: EndpointDeployed) -> None:
    if result.endpoint is not None:
        _show_endpoint(out, result.endpoint)


def _show_link(out: Console, link: EndpointLink) -> None:
    out.print(Text(link.url, "accent"), soft_wrap=True)
    out.print(text("cli.endpoint.link", seconds=link.expires_in_s), style="hint")


def _show_answer(out: Console, answer: EndpointAnswer) -> None:
    out.print(Text(without_controls(answer.text).strip()), soft_wrap=True)
    words = text("cli.endpoint.answered", model=answer.model, seconds=f"{answer.seconds:.1f}")
    out.print(words, style="hint")


def _show_key(out: Console, key: EndpointKey) -> None:
    out.print(Text(key.key), soft_wrap=True)


def _show_target(out: Console, status: TargetStatus) -> None:
    rows: list[tuple[str, str | Text]] = [
        ("Target", status.name),
        ("State", state_text(status.state)),
    ]
    if status.arm_url:
        rows.append(("Address", status.arm_url))
    if status.detail:
        rows.append(("Detail", status.detail))
    print_facts(out, rows)
    if status.images:
        out.print()
        print_facts(out, [(image.name, _image(image)) for image in status.images])
    if status.state == "unprepared":
        _next(out, f"tunesmith target prepare {status.name}")


def _image(image: ImageStatus) -> Text:
    where = image.path
    if not image.ready and image.download_bytes:
        where = text("cli.target.download", size=size(image.download_bytes))
    return Text.assemble(state_text("ready" if image.ready else "missing"), "  ", (where, "dim"))


def _show_doctor(out: Console, report: DoctorReport) -> None:
    table = list_table("", "Check", "Found")
    for finding in report.findings:
        body = Text(finding.detail)
        if finding.fix:
            body.append("\n" + finding.fix, "accent")
        table.add_row(state_text(finding.state), finding.name, body)
    out.print(table)
    out.print(
        Text(text("cli.doctor.healthy"), "good")
        if report.healthy
        else Text(text("cli.doctor.ill"), "bad")
    )
