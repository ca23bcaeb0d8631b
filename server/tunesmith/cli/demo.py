"""`tunesmith demo`: the product's main job, start to end, by the commands that every user has.

Nothing here knows how a step works; each is an operation, called as a user would call it and shown
with the line that does the same. What an earlier demo left is used again, and said so.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from tunesmith.cli import exit_codes
from tunesmith.cli.commands import commands
from tunesmith.cli.demo_memory import remember, remembered_run
from tunesmith.cli.demo_plan import demo_plan
from tunesmith.cli.execute import Cancelled, call
from tunesmith.cli.failure import cancelled
from tunesmith.cli.flags import Flag, command_line
from tunesmith.cli.program import program_name
from tunesmith.cli.render_comparison import pick_examples, show_comparison
from tunesmith.cli.render_plan import show_plan_table
from tunesmith.cli.render_project import show_problems
from tunesmith.cli.terminal import Terminal, has_unicode, open_terminal
from tunesmith.cli.units import duration, size
from tunesmith.cli.usage import UsageError
from tunesmith.core.log_lines import without_controls
from tunesmith.core.messages import text
from tunesmith.core.runs import Comparison, Run, RunStarted

QUESTION = "For what period does Fernhollow guarantee a new bike?"
"""Asked when the comparison has no learned fact to ask for; like all of its questions it is not in
the training data."""
STAGES = 8
UNFINISHED = ("created", "queued", "running", "stopping")


def demo_command(words: list[str]) -> int:
    """Read the command line of `tunesmith demo` and run it."""
    folder, model = "demo", None
    rest = [word for word in words if word not in ("-y", "--yes", "-v", "--verbose")]
    while rest:
        word = rest.pop(0)
        if word in ("-h", "--help"):
            _print_help()
            return exit_codes.OK
        name, equals, value = word.partition("=")
        if name not in ("--folder", "--model"):
            raise UsageError(f"demo does not know {word!r}", "tunesmith demo")
        if not equals:
            if not rest:
                raise UsageError(f"{name} needs a value", "tunesmith demo")
            value = rest.pop(0)
        folder, model = (value, model) if name == "--folder" else (folder, value)
    terminal = open_terminal()
    try:
        return Demo(terminal, folder, model).run()
    except Cancelled as stopped:
        code = cancelled(stopped.still_running, as_json=False, folder=folder)
        terminal.err.print(text("cli.demo.again"))
        return code


def _print_help() -> None:
    from tunesmith.cli.help import command_help

    def option(name: str, metavar: str, about: str) -> Flag:
        return Flag(name, (f"--{name}",), False, str, False, None, about, (), metavar)

    options = [
        option("folder", "DIR", text("cli.demo.help.folder")),
        option("model", "MODEL", text("cli.demo.help.model")),
    ]
    sys.stdout.write(command_help("demo", text("cli.help.demo"), [], options))


@dataclass(slots=True)
class Demo:
    """One walk through the product. `stage` counts the headings that were printed."""

    terminal: Terminal
    folder: str
    model: str | None
    stage: int = 0
    began: float = 0.0

    def run(self) -> int:
        """Do every stage. Raises what the operations raise; returns 1 when a stage ends badly."""
        out = self.terminal.out
        self.began = time.monotonic()
        exists = (Path(self.folder) / "finetuning" / "olive-config.json").is_file()
        out.print()
        show_plan_table(out, demo_plan(self.folder, project_exists=exists))
        self._prepare()
        if not exists:
            self._create()
        if not self._check(exists):
            return exit_codes.REFUSED
        self._provision()
        self._push()
        run = self._train()
        if run.state != "succeeded":
            return self._ended_badly(run)
        comparison = self._compare(run)
        self._serve(run)
        question = _question_for(comparison)
        self._ask(question)
        self._close(run, comparison, question)
        return exit_codes.OK

    def _prepare(self) -> None:
        self._heading("prepare")
        status = self._call("target/status", target="local")
        if status.state != "ready":
            status = self._call("target/prepare", target="local")
        self._done(text("cli.demo.ready", address=status.arm_url))

    def _create(self) -> None:
        self._heading("project")
        made = self._call("project/create", folder=self.folder, model=self.model)
        self._done(text("cli.demo.created", folder=made.folder, files=made.files, model=made.model))

    def _check(self, kept: bool) -> bool:
        if kept:
            self._heading("project")
            self._kept(text("cli.demo.keptProject", folder=self.folder))
        report = self._on_project("project/check")
        show_problems(self.terminal.out, report.problems)
        if report.errors:
            return False
        for dataset in report.datasets:
            key = "cli.demo.checked" if dataset.tokens is None else "cli.demo.checkedTokens"
            tokens = f"{dataset.tokens or 0:,}"
            self._done(text(key, file=dataset.file, rows=dataset.usable_rows, tokens=tokens))
        return True

    def _provision(self) -> None:
        self._heading("provision")
        kind = "finetuning"
        plan = self._call("infra/plan", echo=False, project=self.folder, kind=kind).plan
        if not plan.changes:
            self._kept(text("cli.demo.keptInfra", kind=kind))
            return
        made = sum(row.action in ("create", "update") for row in plan.rows)
        self._call("infra/apply", project=self.folder, kind=kind)
        self._done(text("cli.demo.provisioned", count=made, kind=kind))

    def _push(self) -> None:
        self._heading("push")
        moved = self._on_project("share/push")
        if moved.files or moved.deleted:
            self._done(text("cli.demo.pushed", files=moved.files, size=size(moved.size_bytes)))
        else:
            self._kept(text("cli.demo.keptShare"))

    def _train(self) -> Run:
        """Go on with the run of these inputs if there is one, in whichever state, or start one."""
        self._heading("train")
        project = Path(self.folder)
        run = self._known_run(remembered_run(project))
        if run is not None and run.state == "succeeded":
            self._kept(text("cli.demo.keptRun", run=run.id))
            return run
        if run is not None and run.can_resume:
            self._kept(text("cli.demo.resumed", run=run.id, state=run.state, step=run.step))
            run = self._started(self._on_project("run/resume", run=run.id))
        elif run is not None and run.state in UNFINISHED:
            self._kept(text("cli.demo.joined", run=run.id))
        else:
            run = self._started(self._on_project("run/start"))
            remember(project, run.id)
        page = self._on_project("run/logs", run=run.id, follow=True)
        if page.run.state == "succeeded":
            self._done(
                text(
                    "cli.demo.trained",
                    run=page.run.id,
                    steps=page.run.steps,
                    loss=f"{page.run.loss:.3f}" if page.run.loss is not None else "-",
                    method=page.run.method,
                )
            )
        return page.run

    def _known_run(self, run_id: str | None) -> Run | None:
        if run_id is None:
            return None
        listed = self._call("run/list", echo=False, project=self.folder)
        return next((run for run in listed.runs if run.id == run_id), None)

    def _started(self, result: RunStarted) -> Run:
        assert result.run is not None, "run start answers with a run once it was applied"
        return result.run

    def _compare(self, run: Run) -> Comparison:
        self._heading("compare")
        plan = self._call(
            "run/compare", echo=False, project=self.folder, run=run.id, dry_run=True
        ).plan
        comparison: Comparison = self._on_project("run/compare", run=run.id)
        if not plan.changes:
            self._kept(text("cli.demo.keptAnswers"))
        self.terminal.out.print()
        show_comparison(self.terminal.out, comparison)
        return comparison

    def _serve(self, run: Run) -> None:
        self._heading("serve")
        endpoint = self._call("endpoint/status", echo=False, project=self.folder)
        if endpoint.state == "healthy" and endpoint.run_id == run.id:
            self._kept(text("cli.demo.keptEndpoint", url=endpoint.url))
            return
        deployed = self._on_project("endpoint/deploy", run=run.id)
        url = deployed.endpoint.url if deployed.endpoint else ""
        self._done(text("cli.demo.deployed", url=url, run=run.id))

    def _ask(self, question: str) -> None:
        self._heading("ask")
        out = self.terminal.out
        for base in (True, False):
            answer = self._on_project("endpoint/ask", question=question, base=base)
            name = text("cli.demo.base" if base else "cli.demo.tuned")
            said = Text(" ".join(without_controls(answer.text).split()), "dim" if base else "bold")
            row = Table.grid(padding=(0, 2, 0, 0))
            row.add_column(width=8)
            row.add_column(overflow="fold", max_width=100)
            row.add_row(Text(f"  {name}", "dim"), said)
            out.print(row)

    def _close(self, run: Run, comparison: Comparison, question: str) -> None:
        out = self.terminal.out
        endpoint = self._call("endpoint/status", echo=False, project=self.folder)
        link = self._call("endpoint/open", echo=False, project=self.folder)
        program, where = program_name(), f" -C {shlex.quote(self.folder)}"
        out.print()
        out.print(Rule(style="dim"))
        words = text(
            "cli.demo.finished",
            time=duration(time.monotonic() - self.began),
            base=comparison.facts_base,
            tuned=comparison.facts_tuned,
            total=comparison.facts_total,
        )
        out.print(Text(words, "bold"))
        out.print()
        self._pointer("chat", link.url)
        self._pointer("again", f"{program} endpoint open{where}")
        self._pointer("api", _curl(endpoint.url, run.id, self.folder, question))
        self._pointer("log", f"{program} run logs{where}")
        self._pointer("yours", text("cli.demo.yoursHow", folder=self.folder))
        self._pointer("down", f"{program} infra destroy{where}")
        out.print()

    def _ended_badly(self, run: Run) -> int:
        line = text("cli.demo.badRun", run=run.id, state=run.state, reason=run.reason or "-")
        self.terminal.err.print(Text(line, "bad"))
        step = "run resume" if run.can_resume else "run logs"
        self.terminal.err.print(Text(f"  tunesmith {step} {run.id} -C {self.folder}", "accent"))
        return exit_codes.REFUSED

    # How a stage speaks.

    def _heading(self, key: str) -> None:
        self.stage += 1
        count = f"{self.stage}/{STAGES}"
        self.terminal.out.print()
        self.terminal.out.print(
            Text.assemble((f"{count} ", "accent"), (text(f"cli.demo.stage.{key}"), "bold"))
        )

    def _done(self, words: str) -> None:
        mark = "✓" if has_unicode(self.terminal.out) else "ok"
        self.terminal.out.print(Text.assemble((f"  {mark} ", "good"), words))

    def _kept(self, words: str) -> None:
        mark = "↻" if has_unicode(self.terminal.out) else "="
        self.terminal.out.print(Text.assemble((f"  {mark} ", "accent"), words))

    def _pointer(self, key: str, line: str) -> None:
        name = text(f"cli.demo.pointer.{key}")
        self.terminal.out.print(
            Text.assemble((f"  {name:<18}", "dim"), (line, "accent")), soft_wrap=True
        )

    def _on_project(self, name: str, **given: Any) -> Any:
        return self._call(name, project=self.folder, **given)

    def _call(self, name: str, *, echo: bool = True, **given: Any) -> Any:
        """Call an operation as its command would, after printing that command."""
        operation = commands()[name]
        if echo:
            line = command_line(operation, given)
            self.terminal.out.print(Text(f"  $ {line}", "dim"), soft_wrap=True)
        return call(operation, operation.params(**given), self.terminal, filter_noise=True)


def _question_for(comparison: Comparison) -> str:
    """A question that the model has learned to answer, in words that it was not trained on."""
    learned, _ = pick_examples(comparison.answers)
    return learned[0].question if learned else QUESTION


def _curl(url: str, run_id: str, folder: str, question: str) -> str:
    messages = [{"role": "user", "content": question}]
    body = json.dumps({"model": run_id, "messages": messages})
    return (
        f"curl -s {url}/v1/chat/completions"
        f' -H "Authorization: Bearer $({program_name()} endpoint key -C {shlex.quote(folder)})"'
        f" -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    )
