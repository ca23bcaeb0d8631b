"""Projects and the problems of their files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from rich.console import Console
from rich.text import Text

from tunesmith.cli.tables import print_facts
from tunesmith.core.messages import text
from tunesmith.core.problems import Problem
from tunesmith.core.project import MODEL_UNVERIFIED, CheckReport, CreatedProject, Project

_STYLES = {"error": "bad", "warning": "warn", "info": "dim"}
PROBLEMS_SHOWN = 40


def show_created(out: Console, created: CreatedProject) -> None:
    """A new project, and what to do in it."""
    folder = _short(created.folder)
    out.print(Text(text("cli.project.created", folder=folder, files=created.files), "good"))
    print_facts(out, [("Base model", created.model)])
    for line in (f"cd {quote(folder)}", "tunesmith project check", "tunesmith infra apply"):
        out.print(Text.assemble(("  " + text("cli.next") + " ", "hint"), (line, "accent")))


def _short(folder: str) -> str:
    """The folder as one would type it from here."""
    here = Path(folder)
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else folder


def show_project(out: Console, project: Project) -> None:
    """What the folder is."""
    print_facts(
        out,
        [
            ("Project", Text(project.name, "bold")),
            ("Folder", project.folder),
            ("Base model", project.model or "-"),
            ("Recipe", project.recipe or "-"),
            ("Dataset", project.dataset or "-"),
            ("Target", project.target),
            ("Provisioned", ", ".join(project.provisioned) or text("cli.project.nothing")),
            ("Template", project.template_version or "-"),
        ],
    )
    show_problems(out, project.problems)


def show_check(out: Console, report: CheckReport) -> None:
    """Every problem, then the verdict."""
    show_problems(out, report.problems)
    for dataset in report.datasets:
        if not dataset.rows:
            continue  # it could not be read, and its problem says why
        words = [
            text(
                "cli.check.rows",
                file=dataset.file,
                rows=_counted(dataset.rows, "row"),
                usable=f"{dataset.usable_rows:,}",
                encoding=dataset.encoding or "-",
            )
        ]
        if dataset.tokens is not None:
            words.append(text("cli.check.tokens", tokens=f"{dataset.tokens:,}"))
        out.print(", ".join(words))
    if report.errors:
        key, style = "cli.check.errors", "bad"
    elif any(problem.code == MODEL_UNVERIFIED for problem in report.problems):
        key, style = "cli.check.unverified", "warn"
    elif report.warnings:
        key, style = "cli.check.warnings", "warn"
    else:
        key, style = "cli.check.clean", "good"
    errors, warnings = _counted(report.errors, "error"), _counted(report.warnings, "warning")
    out.print(Text(text(key, errors=errors, warnings=warnings), style))


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def show_problems(out: Console, problems: Sequence[Problem]) -> None:
    """`file:line:column: error: what is wrong`, which terminals and editors make a link of."""
    told: set[str] = set()
    for problem in problems[:PROBLEMS_SHOWN]:
        place = problem.file
        if problem.line:
            place += f":{problem.line}"
            place += f":{problem.column}" if problem.column else ""
        out.print(
            Text.assemble(
                (place, "bold"),
                ": ",
                (problem.severity, _STYLES[problem.severity]),
                f": {_without_file(problem)} ",
                (f"[{problem.code}]", "dim"),
            ),
            soft_wrap=True,
        )
        # The same hint under a hundred rows helps nobody.
        if problem.hint and problem.hint not in told:
            out.print(Text("    " + problem.hint, "hint"), soft_wrap=True)
            told.add(problem.hint)
    if len(problems) > PROBLEMS_SHOWN:
        out.print(text("cli.check.more", count=len(problems) - PROBLEMS_SHOWN), style="hint")


def _without_file(problem: Problem) -> str:
    """The sentence without the file's name at its start, which the place has just told."""
    rest = problem.message.removeprefix(problem.file)
    if rest == problem.message or rest[:1] not in (" ", ":", ","):
        return problem.message
    rest = rest.removeprefix(f", line {problem.line}").lstrip(" :,")
    return rest or problem.message
