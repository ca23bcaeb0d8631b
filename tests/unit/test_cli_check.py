"""What `project check` and `project create` print of their results."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from rich.theme import Theme
from tunesmith.cli.render_project import show_check, show_created
from tunesmith.core.problems import Problem
from tunesmith.core.project import CheckReport, CreatedProject, DatasetSummary

STYLES = Theme(dict.fromkeys(("good", "warn", "bad", "hint", "accent"), "none"))
FILE = "dataset/train.jsonl"


@pytest.fixture
def out():
    return Console(file=StringIO(), theme=STYLES, width=200)


def printed(out):
    return out.file.getvalue()


def report(*problems, rows=200):
    severities = [p.severity for p in problems]
    summary = DatasetSummary(FILE, rows, rows, "UTF-8" if rows else "")
    return CheckReport((summary,), problems, severities.count("error"), severities.count("warning"))


def test_one_of_a_kind_is_no_plural(out):
    show_check(out, report(Problem(FILE, 1, 0, "error", "x", "Bad"), rows=1))
    assert "1 error, 0 warnings" in printed(out)
    assert "1 of 1 row can" in printed(out)


def test_a_file_that_could_not_be_read_has_no_count_of_rows(out):
    show_check(out, report(Problem(FILE, 0, 0, "error", "x", "Bad"), rows=0))
    assert "can be used" not in printed(out)


def test_a_file_is_named_once_a_line(out):
    show_check(out, report(Problem(FILE, 0, 0, "warning", "x", f"{FILE} starts with a mark")))
    assert f"{FILE}: warning: starts with a mark" in printed(out)


def test_an_unverified_model_is_part_of_the_verdict(out):
    show_check(out, report(Problem(FILE, 1, 1, "warning", "project.modelUnverified", "Unsure")))
    assert "could not be verified" in printed(out)


def test_the_next_step_can_be_pasted_into_a_shell(out):
    show_created(out, CreatedProject("/tmp/my demo's", "n", "m", 3))
    assert """cd '/tmp/my demo'"'"'s'""" in printed(out)
