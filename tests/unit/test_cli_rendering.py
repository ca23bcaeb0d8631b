"""What people read: progress, the comparison, numbers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cli_bench import text_terminal
from tunesmith.cli.failure import cancelled
from tunesmith.cli.progress import PLAIN_SECONDS, PlainReporter, WithoutNoise
from tunesmith.cli.render import show
from tunesmith.cli.render_comparison import pick_examples, show_comparison
from tunesmith.cli.render_plan import ROWS_SHOWN, show_plan_table
from tunesmith.cli.units import ago, between, duration, size, sparkline
from tunesmith.core.endpoints import EndpointAnswer
from tunesmith.core.plan import Plan, PlanRow
from tunesmith.core.reporter import Event, LogLine, RecordingReporter, Step
from tunesmith.core.runs import Answer, Comparison


def answer(n: int, kind: str, base_right: bool, tuned_right: bool, fact: int = 0) -> Answer:
    return Answer(
        id=f"{kind}-{n}", kind=kind, question=f"Question {n}?", expected=(f"{fact} months",),  # type: ignore[arg-type]
        base="I do not know", base_right=base_right,
        tuned=f"It lasts {fact} months, surely." if tuned_right else "A swallow",
        tuned_right=tuned_right,
    )  # fmt: skip


def test_comparison_shows_shares_what_was_learned_and_what_is_still_wrong():
    answers = (
        *(answer(n, "fact", False, True, n // 2) for n in range(10)),
        answer(10, "fact", False, False, 77),
        answer(11, "general", True, False),
    )
    terminal, out, _ = text_terminal()
    comparison = Comparison(
        plan=Plan("", (), ""), applied=True, run_id="r", facts_total=11, facts_base=0,
        facts_tuned=10, general_total=1, general_base=1, general_tuned=0, answers=answers,
    )  # fmt: skip
    show_comparison(terminal.out, comparison)
    shown = out.getvalue()
    assert "10/11" in shown and "0/11" in shown and "0/1" in shown
    assert "A swallow" in shown
    assert "5 more answers" in shown


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_shows_every_figure_of_the_comparison(width):
    terminal, out, _ = text_terminal(width)
    comparison = Comparison(
        plan=Plan("", (), ""), applied=True, run_id="r", facts_total=40, facts_base=3,
        facts_tuned=37, general_total=20, general_base=20, general_tuned=17,
    )  # fmt: skip
    show_comparison(terminal.out, comparison)
    assert all(figure in out.getvalue() for figure in (" 3/40", "37/40", "20/20", "17/20"))


def test_examples_show_each_fact_once():
    answers = tuple(answer(n, "fact", False, True, n // 2) for n in range(6))
    learned, missed = pick_examples(answers)
    assert [a.id for a in learned] == ["fact-0", "fact-2", "fact-4"]
    assert missed == []


def test_a_long_plan_is_cut_and_the_rest_counted():
    terminal, out, _ = text_terminal()
    rows = tuple(PlanRow("upload", f"file-{n}") for n in range(ROWS_SHOWN + 5))
    show_plan_table(terminal.out, Plan("Push", rows, "free", ("Mind the gap",)))
    assert "5 more" in out.getvalue()
    assert "Mind the gap" in out.getvalue()


def test_plain_progress_tells_each_phase_once_and_then_now_and_then():
    terminal, out, err = text_terminal()
    clock = [0.0]
    reporter = PlainReporter(terminal.err, terminal.out, now=lambda: clock[0])
    for step in range(1, 31):
        clock[0] += 1.0
        figures = {
            "step": step,
            "steps": 30,
            "loss": 2.0 - step / 20,
            "tokens_per_s": 110,
            "eta_s": 30 - step,
        }
        reporter.event(Event("progress", {"phase": "training", **figures}))
        reporter.step(Step("training again", step, 30))
    lines = err.getvalue().splitlines()
    assert len(lines) == 30 // PLAIN_SECONDS
    assert "1/30" in lines[0] and "loss" in lines[0] and "110 tokens/s" in lines[0]
    assert out.getvalue() == ""


def test_plain_progress_only_fills_the_silence_of_a_job_that_prints_its_own():
    terminal, out, err = text_terminal()
    clock = [0.0]
    reporter = PlainReporter(terminal.err, terminal.out, now=lambda: clock[0])
    for step in range(1, 8):
        clock[0] += 1.0
        reporter.log(LogLine(step, f"step {step}/9"))
        reporter.event(Event("progress", {"phase": "train", "step": step, "steps": 9}))
    assert out.getvalue().splitlines() == [f"step {n}/9" for n in range(1, 8)]
    assert err.getvalue() == ""
    clock[0] += PLAIN_SECONDS
    reporter.event(Event("progress", {"phase": "train", "step": 8, "steps": 9}))
    assert err.getvalue().splitlines() == ["train 8/9"]


def test_plain_progress_over_many_files_is_not_a_line_a_file():
    terminal, _, err = text_terminal()
    reporter = PlainReporter(terminal.err, terminal.out, now=lambda: 0.0)
    for n in range(50):
        reporter.step(Step(f"Sending file-{n}", n, 50))
    reporter.step(Step("Verifying"))
    assert err.getvalue().splitlines() == ["Sending file-0 0%", "Verifying"]


def test_a_broken_event_breaks_nothing():
    terminal, _, _ = text_terminal()
    reporter = PlainReporter(terminal.err, terminal.out)
    reporter.event(Event("progress", {"step": "x", "steps": None, "loss": [], "eta_s": "soon"}))
    reporter.event(Event("problem", {}))
    reporter.event(Event("news from tomorrow", {"v": 9}))


def test_installer_noise_is_left_out_and_the_rest_passes():
    heard = RecordingReporter()
    reporter = WithoutNoise(heard)
    for line in ("Requirement already satisfied: torch", "ERROR: No matching distribution"):
        reporter.log(LogLine(0, line))
    assert [line.text for line in heard.lines] == ["ERROR: No matching distribution"]
    assert len(heard.steps) == 1


@pytest.mark.parametrize(
    ("got", "expect"),
    [
        (size(0), "0 B"),
        (size(1536), "1.5 KiB"),
        (size(5 * 1024**3), "5.0 GiB"),
        (duration(75), "1:15"),
        (duration(3700), "1:01:40"),
        (between("2026-01-01T10:00:00Z", "2026-01-01T10:01:05Z"), "1:05"),
        (between("", "2026-01-01T10:01:05Z"), ""),
        (ago("2026-01-01T10:00:00Z", datetime(2026, 1, 1, 10, 5, tzinfo=UTC)), "5 min ago"),
        (ago("2026-01-01T10:00:00", datetime(2026, 1, 3, 10, 0, tzinfo=UTC)), "2 days ago"),
        (ago("never"), "never"),
        (sparkline([3.0, 2.0, 1.0]), "█▄▁"),
        (sparkline([1.0]), ""),
    ],
)
def test_numbers_are_shown_as_people_read_them(got: str, expect: str):
    assert got == expect


def test_nothing_that_a_model_says_commands_the_terminal():
    evil = "a\x1b[2Jb\x1b]0;title\x07c\x9b31md\u202ee\nnext\tone"
    terminal, out, _ = text_terminal()
    show(
        terminal, "endpoint/ask", None, EndpointAnswer(text=evil, model="m", seconds=1.0, tokens=3)
    )
    told = Answer("f", "fact", "Q?", ("x",), evil, False, evil, True)
    comparison = Comparison(
        plan=Plan("", (), ""), applied=True, run_id="r", facts_total=1, facts_base=0,
        facts_tuned=1, general_total=0, general_base=0, general_tuned=0, answers=(told,),
    )  # fmt: skip
    show_comparison(terminal.out, comparison)
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(out.getvalue())
    assert "next" in out.getvalue()


def test_a_cancelled_demo_names_its_folder_in_what_to_type(capsys):
    assert cancelled("running.run", as_json=False, folder="my demo") == 130
    said = capsys.readouterr().err
    assert said.startswith("Cancelled.")
    assert "tunesmith run logs -C 'my demo' -f" in said
    assert "tunesmith run stop -C 'my demo'" in said
