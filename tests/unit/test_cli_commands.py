"""Command lines: what they mean, how they end, what they print for scripts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_bench import Bench
from tunesmith.cli.commands import commands
from tunesmith.cli.flags import command_line
from tunesmith.core.doctor import DoctorReport, Finding
from tunesmith.core.errors import Fix, InfraError, ProjectError
from tunesmith.core.infra import InfraResult
from tunesmith.core.plan import Plan, PlanRow
from tunesmith.core.problems import Problem
from tunesmith.core.project import CheckReport, CreatedProject
from tunesmith.core.runs import LogPage, Run, RunList, RunStarted
from tunesmith.core.sync import SyncResult
from tunesmith.ops import OPERATIONS


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(monkeypatch, capsys)


def a_run(**more: object) -> Run:
    values: dict[str, object] = dict(
        id="run-1", state="succeeded", reason="", model="m", recipe="chat", method="lora", step=75,
        steps=75, loss=0.345, eval_loss=None, created_at="2026-01-01T10:00:00+00:00",
        started_at="2026-01-01T10:00:00+00:00", ended_at="2026-01-01T10:05:00+00:00",
        executions=("x-1",), artifact="runs/run-1/adapter", can_resume=False,
    )  # fmt: skip
    return Run(**(values | more))  # type: ignore[arg-type]


PLAN = Plan("Push", (PlanRow("upload", "dataset/train.jsonl", "3 KiB"),), "free")
SAME = Plan("Push", (PlanRow("keep", "dataset/train.jsonl"),), "free")


def pushed(plan: Plan, applied: bool) -> SyncResult:
    return SyncResult(plan, applied, 1, 3072, 0, (), 0.2)


# How a line is read.


def test_flags_become_params_and_the_rest_keeps_its_defaults(bench: Bench):
    bench.answer("project/create", lambda ctx, p: CreatedProject(p.folder, "p", "m", 3))
    ended = bench.run(
        "project", "create", "here", "--set", "epochs=2", "--set", "note=a=b", "--json"
    )
    assert ended.code == 0
    params = bench.calls[0][1]
    assert (params.folder, params.model) == ("here", None)
    assert params.values == {"epochs": "2", "note": "a=b"}


def test_global_flags_may_stand_in_front(bench: Bench):
    bench.answer("run/list", lambda ctx, p: RunList(()))
    ended = bench.run("--json", "run", "list", "-C", "there")
    assert json.loads(ended.out) == {"runs": []}
    assert bench.calls[0][1].project == "there"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("runn list", "did you mean 'run'"),
        ("run lst", "did you mean 'list'"),
        ("run list --nope", "--nope"),
        ("run list extra", "extra"),
        ("infra plan cloud", "invalid choice"),
        ("run logs --tail many", "invalid int value"),
        ("project create", "FOLDER is missing"),
        ("project create p --set epochs", "NAME=VALUE"),
        ("demo --nope", "--nope"),
        ("lsp --nope", "--nope"),
    ],
)
def test_a_line_that_does_not_fit_ends_with_2_and_a_place_to_look(
    bench: Bench, line: str, says: str
):
    ended = bench.run(*line.split())
    assert ended.code == 2
    assert ended.out == ""
    assert says in ended.err
    assert "--help" in ended.err


def test_usage_errors_are_json_when_asked_for(bench: Bench):
    ended = bench.run("run", "nope", "--json")
    assert ended.code == 2
    assert json.loads(ended.out)["error"]["code"] == "usage"
    assert ended.err == ""


# How it ends.


def test_a_refusal_is_a_sentence_a_hint_and_1(bench: Bench):
    def refuse(ctx: object, p: object) -> None:
        raise ProjectError("project.notFound", folder="/x")

    bench.answer("run/list", refuse)
    ended = bench.run("run", "list")
    assert ended.code == 1
    assert "/x is not a Tunesmith project" in ended.err
    assert "tunesmith project create" in ended.err
    assert "Traceback" not in ended.err
    error = json.loads(bench.run("run", "list", "--json").out)["error"]
    assert error["code"] == "project.notFound"
    assert error["message"] and error["hint"]


def test_a_fix_is_shown_as_the_line_to_type(bench: Bench):
    def refuse(ctx: object, p: object) -> None:
        fix = Fix("Provision", "infra/apply", {"project": "/elsewhere", "kind": "inference"})
        raise InfraError("infra.missing", kind="inference", fix=fix)

    bench.answer("run/list", refuse)
    assert "tunesmith infra apply inference -C /elsewhere" in bench.run("run", "list").err


def test_our_bug_ends_with_70_and_a_report_without_secrets(bench: Bench, tmp_path: Path):
    def fail(ctx: object, p: object) -> None:
        raise ValueError("GET https://x/?sig=SECRET1&api_key=SECRET2 Authorization: Bearer SECRET3")

    bench.answer("run/list", fail)
    ended = bench.run("run", "list")
    assert ended.code == 70
    assert "Traceback" not in ended.err
    (report,) = (tmp_path / "home" / "logs").iterdir()
    assert str(report) in ended.err
    assert report.stem.rpartition("-")[2] in ended.err
    written = report.read_text()
    assert "ValueError" in written and "Traceback" in written
    assert "SECRET" not in written
    assert report.stat().st_mode & 0o077 == 0


def test_ctrl_c_ends_with_130_and_says_what_still_runs(bench: Bench):
    closed: list[bool] = []

    async def wait(ctx: object, p: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(30)
        finally:
            closed.append(True)

    bench.answer("run/logs", wait)
    ended = bench.run("run", "logs", "-f")
    assert ended.code == 130
    assert "tunesmith run stop" in ended.err
    assert closed == [True]


def test_sigterm_cancels_as_well(bench: Bench):
    async def wait(ctx: object, p: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(30)

    bench.answer("run/logs", wait)
    assert bench.run("run", "logs", "--json").code == 130


def test_errors_in_a_report_end_with_1_and_warnings_with_0(bench: Bench):
    def report(severity: str) -> CheckReport:
        problem = Problem("dataset/train.jsonl", 4711, 15, severity, "dataset.x", "Bad", "Mend it")  # type: ignore[arg-type]
        return CheckReport((), (problem,), int(severity == "error"), int(severity == "warning"))

    bench.answer("project/check", lambda ctx, p: report("error"))
    ended = bench.run("project", "check")
    assert ended.code == 1
    assert "dataset/train.jsonl:4711:15: error: Bad" in ended.out
    assert "Mend it" in ended.out
    bench.answer("project/check", lambda ctx, p: report("warning"))
    assert bench.run("project", "check").code == 0


def test_an_unhealthy_machine_ends_with_1(bench: Bench):
    finding = Finding("disk", "error", "1 GiB free", "make room")
    bench.answer("doctor", lambda ctx, p: DoctorReport((finding,), False))
    ended = bench.run("doctor")
    assert ended.code == 1
    assert "make room" in ended.out


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("failed", 1), ("interrupted", 1)])
def test_a_followed_log_ends_as_its_run(bench: Bench, state: str, code: int):
    bench.answer("run/logs", lambda ctx, p: LogPage(a_run(state=state), (), 0, True))
    assert bench.run("run", "logs", "-f").code == code
    assert bench.run("run", "logs").code == 0


# Plans and questions.


def test_without_a_terminal_a_change_needs_yes(bench: Bench):
    bench.answer("share/push", lambda ctx, p: pushed(PLAN, not p.dry_run))
    ended = bench.run("share", "push")
    assert ended.code == 2
    assert "-y" in ended.err
    assert bench.calls == []


def test_yes_shows_the_plan_and_applies_it(bench: Bench):
    bench.answer("share/push", lambda ctx, p: pushed(PLAN, not p.dry_run))
    ended = bench.run("share", "push", "-y")
    assert ended.code == 0
    assert [params.dry_run for _, params in bench.calls] == [True, False]
    assert "dataset/train.jsonl" in ended.err
    assert "1 files, 3.0 KiB" in ended.out


def test_dry_run_only_shows_the_plan(bench: Bench):
    bench.answer("share/push", lambda ctx, p: pushed(PLAN, not p.dry_run))
    ended = bench.run("share", "push", "--dry-run")
    assert ended.code == 0
    assert [params.dry_run for _, params in bench.calls] == [True]
    assert "dataset/train.jsonl" in ended.out


@pytest.mark.parametrize(
    ("typed", "applied"), [("", True), ("y", True), ("n", False), ("x", False)]
)
def test_on_a_terminal_it_asks(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, typed: str, applied: bool
):
    from dataclasses import replace

    from tunesmith.cli import terminal

    opened = terminal.open_terminal
    monkeypatch.setattr(terminal, "open_terminal", lambda: replace(opened(), is_interactive=True))
    monkeypatch.setattr("builtins.input", lambda *_: typed)
    bench.answer("share/push", lambda ctx, p: pushed(PLAN, not p.dry_run))
    ended = bench.run("share", "push")
    assert ended.code == 0
    assert (len(bench.calls) == 2) is applied
    assert ("Nothing was done" in ended.err) is not applied


def test_on_a_terminal_it_does_not_ask_when_nothing_changes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    from dataclasses import replace

    from tunesmith.cli import terminal

    opened = terminal.open_terminal
    monkeypatch.setattr(terminal, "open_terminal", lambda: replace(opened(), is_interactive=True))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    bench.answer("share/push", lambda ctx, p: pushed(SAME, not p.dry_run))
    assert bench.run("share", "push").code == 0


# The form of a new project.


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, typed: list[str]) -> None:
    from dataclasses import replace

    from tunesmith.cli import terminal

    opened = terminal.open_terminal
    monkeypatch.setattr(terminal, "open_terminal", lambda: replace(opened(), is_interactive=True))
    monkeypatch.setattr("builtins.input", lambda *_: typed.pop(0))


def test_a_new_project_is_asked_for_and_a_bad_value_is_asked_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    on_a_terminal(monkeypatch, ["", "here", "", "many", "0", "2", ""])
    bench.answer("project/create", lambda ctx, p: CreatedProject(p.folder, "p", "m", 3))
    ended = bench.run("project", "create")
    assert ended.code == 0
    params = bench.calls[0][1]
    assert (params.folder, params.values) == ("here", {"epochs": "2"})
    assert "more than 0" in " ".join(ended.err.split())
    assert "smollm2-135m-instruct" in ended.err


def test_nothing_is_asked_with_yes_or_when_settings_were_given(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    on_a_terminal(monkeypatch, [])
    bench.answer("project/create", lambda ctx, p: CreatedProject(p.folder, "p", "m", 3))
    assert bench.run("project", "create", "here", "-y").code == 0
    assert bench.run("project", "create", "here", "--set", "epochs=1").code == 0


def test_every_form_field_has_a_label_a_help_and_limits():
    from tunesmith.cli.form import form_fields

    fields = form_fields()
    assert [field.name for field in fields if field.is_asked] == [
        "model",
        "epochs",
        "learning_rate",
    ]
    for field in fields:
        assert field.label and field.label != field.name, field
        assert field.help.endswith("."), field
        assert field.limits.get("type"), field


# For scripts.


def test_json_is_one_object_in_camel_case_and_nothing_else(bench: Bench):
    def start(ctx: object, p: object) -> RunStarted:
        from tunesmith.core.reporter import Step

        ctx.reporter.step(Step("Pushing"))  # type: ignore[attr-defined]
        return RunStarted(PLAN, True, a_run())

    bench.answer("run/start", start)
    ended = bench.run("run", "start", "-y", "--json")
    assert ended.err == ""
    assert len(ended.out.splitlines()) == 1
    run = json.loads(ended.out)["run"]
    assert (run["evalLoss"], run["canResume"]) == (None, False)


def test_an_operations_params_turn_back_into_the_line_that_makes_them():
    operation = OPERATIONS["infra/apply"]
    given = {"project": "my project", "kind": "inference", "dry_run": True, "target": None}
    line = command_line(operation, given)
    assert line == "tunesmith infra apply inference --dry-run -C 'my project'"
    assert (
        command_line(operation, {"project": ".", "kind": "finetuning"}) == "tunesmith infra apply"
    )


# Help.


def test_help_names_every_command(bench: Bench):
    ended = bench.run("--help")
    assert ended.code == 0
    for name in commands():
        assert name.replace("/", " ") in ended.out


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_has_help_with_its_flags(bench: Bench, name: str):
    from tunesmith.cli.flags import flags_of

    ended = bench.run(*name.split("/"), "--help")
    assert ended.code == 0
    assert commands()[name].summary.split(",")[0][:30] in ended.out
    for flag in flags_of(commands()[name]):
        assert (flag.field.upper() if flag.positional else flag.names[-1]) in ended.out


def test_help_and_version_load_nothing_slow():
    code = (
        "import sys\n"
        "from tunesmith.cli.__main__ import main\n"
        "main(['--help']); main(['--version'])\n"
        "slow = ('rich', 'cattrs', 'pygls', 'azure', 'aiohttp', 'asyncio', 'jsonschema')\n"
        "sys.stderr.write(' '.join(n for n in slow if n in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_help_answers_at_once():
    best = 9.0
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "tunesmith", "--help"], stdout=subprocess.DEVNULL, check=True
        )
        best = min(best, time.perf_counter() - start)
    assert best < 1.0  # about 0.15 s on an idle machine


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m tunesmith --help | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""


# What the machine refuses.


def test_a_file_that_may_not_be_written_is_a_sentence_and_1(bench: Bench):
    def refuse(ctx, p):
        raise PermissionError(13, "Permission denied", "/state/azurebox")

    bench.answer("run/list", refuse)
    ended = bench.run("run", "list")
    assert ended.code == 1
    assert "/state/azurebox cannot be used: Permission denied" in ended.err
    assert "TUNESMITH_HOME" in ended.err


def test_a_state_folder_that_cannot_be_made_is_a_sentence_and_1(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    def refuse(ctx, p):
        raise FileNotFoundError(2, "No such file or directory", "/nowhere/state/azurebox")

    monkeypatch.setenv("TUNESMITH_HOME", "/nowhere/state")
    bench.answer("run/list", refuse)
    assert bench.run("run", "list").code == 1


def test_a_working_directory_that_is_gone_is_a_sentence_and_1(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    bench.answer("run/list", lambda ctx, p: Path(p.project).resolve())
    ended = bench.run("run", "list")
    assert ended.code == 1
    assert "working directory" in ended.err


def torn_down(*rows: PlanRow, applied: bool = False) -> InfraResult:
    return InfraResult("", Plan("Take down", rows, "nothing"), applied, {})


@pytest.mark.parametrize(("typed", "calls"), [("", 1), ("y", 2)])
def test_enter_alone_takes_nothing_down(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, typed: str, calls: int
):
    on_a_terminal(monkeypatch, [typed])
    row = PlanRow("delete", "job", "")
    bench.answer("infra/destroy", lambda ctx, p: torn_down(row, applied=not p.dry_run))
    ended = bench.run("infra", "destroy")
    assert ended.code == 0
    assert len(bench.calls) == calls
    assert "[y/N]" in ended.err


@pytest.mark.parametrize("flag", ["-y", "--dry-run"])
def test_nothing_to_take_down_is_said_without_a_plan(bench: Bench, flag: str):
    bench.answer("infra/destroy", lambda ctx, p: torn_down(applied=not p.dry_run))
    ended = bench.run("infra", "destroy", flag)
    assert ended.out.strip() == "Nothing to take down"
    assert "Take down" not in ended.err


def test_ctrl_c_at_a_question_says_that_nothing_was_started(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    on_a_terminal(monkeypatch, [])
    monkeypatch.setattr("builtins.input", interrupt)
    bench.answer("share/push", lambda ctx, p: pushed(PLAN, not p.dry_run))
    ended = bench.run("share", "push")
    assert ended.code == 130
    assert "Nothing was started" in ended.err
