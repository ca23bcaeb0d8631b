"""How a project is checked: configs, data row by row, and tokens by the model's own tokenizer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import ProjectError, TunesmithError
from tunesmith.core.json_values import at, items, mapping, whole, words
from tunesmith.core.messages import text
from tunesmith.core.problems import Problem
from tunesmith.core.project import MODEL_UNVERIFIED, CheckReport, DatasetSummary
from tunesmith.core.reporter import Step
from tunesmith.core.run_config import FILE
from tunesmith.core.run_request import inputs_of
from tunesmith.ops.base_model import check_model, is_unverified
from tunesmith.ops.dataset_file import check_dataset
from tunesmith.ops.session import azurebox_home
from tunesmith.workspace.infra_files import parameter_problems
from tunesmith.workspace.project_folder import ProjectFolder, read_project

if TYPE_CHECKING:
    from tunesmith.ops.context import Context

TOKEN_CHECK = "finetuning/check_tokens.py"
TOKEN_CHECK_TIMEOUT_S = 300.0
_ORDER = {"error": 0, "warning": 1, "info": 2}


async def check_project(ctx: Context, folder: str, dataset: str | None) -> CheckReport:
    """Check everything that can be checked without training.

    Raises: ProjectError("project.notFound"); every other finding is a problem in the report.
    """
    project = read_project(folder)
    inputs = inputs_of(project.config.values)
    max_seq_len = whole(at(project.config.values, "passes", "finetune", "max_seq_len")) or None
    of_model = _model_problems(project, inputs.model)
    # Without the model there is no tokenizer: that it is not there was said, and is not said twice.
    has_model = bool(inputs.model) and not of_model
    problems = [*project.problems, *parameter_problems(project.root), *of_model]
    eval_file = words(at(project.config.values, "passes", "finetune", "eval_dataset_path"))
    named = [dataset] if dataset else [n for n in (inputs.dataset, eval_file) if n]
    summaries: list[DatasetSummary] = []
    for name in named:
        file = Path(name).expanduser().resolve() if dataset else project.root / name
        ctx.reporter.step(Step(text("check.dataset", file=name)))
        checked = await asyncio.to_thread(
            check_dataset, file, shown_as=name, max_seq_len=max_seq_len
        )
        summary, found = checked.summary, list(checked.problems)
        if not checked.has_errors and project.config.is_usable and has_model:
            summary, found = await _with_tokens(ctx, project, file, max_seq_len, summary, found)
        summaries.append(summary)
        problems += found
    problems.sort(key=lambda p: (_ORDER[p.severity], p.file, p.line, p.column))
    return CheckReport(
        tuple(summaries),
        tuple(problems),
        sum(p.severity == "error" for p in problems),
        sum(p.severity == "warning" for p in problems),
    )


def _model_problems(project: ProjectFolder, model: str) -> list[Problem]:
    if not model:
        return []  # the config's own check has said so
    document = project.config.document
    place = document.position(("input_model", "model_path")) if document else None
    line, column = (place.line, place.column) if place else (0, 0)
    try:
        check_model(project.root, model)
    except ProjectError as e:
        return [Problem(FILE, line, column, "error", e.code, e.message, e.hint)]
    if not is_unverified(project.root, model):
        return []
    message = text("problems.project.modelUnverified.message", model=model)
    hint = text("problems.project.modelUnverified.hint", model=model)
    return [Problem(FILE, line, column, "warning", MODEL_UNVERIFIED, message, hint)]


async def _with_tokens(
    ctx: Context,
    project: ProjectFolder,
    file: Path,
    max_seq_len: int | None,
    summary: DatasetSummary,
    problems: list[Problem],
) -> tuple[DatasetSummary, list[Problem]]:
    """Add what the tokenizer says; without the training image say aloud that it was not asked."""
    try:
        answer = await _count_tokens(ctx, project, file, max_seq_len)
    except TunesmithError:
        answer = None
    if answer is None:
        note = Problem(
            summary.file,
            0,
            0,
            "info",
            "check.noTokenizer",
            text("check.noTokenizer.message"),
            text("check.noTokenizer.hint"),
        )
        return summary, [*problems, note]
    found = [_problem(mapping(p), summary.file) for p in items(answer.get("problems"))]
    if answer.get("summary") is None:  # it could not load the tokenizer, and says why
        return summary, [*problems, *(replace(p, severity="warning") for p in found)]
    known = {(p.line, p.severity) for p in problems if p.code != "dataset.rowLong"}
    guessed = [p for p in problems if p.code != "dataset.rowLong"]
    counted = replace(
        summary,
        tokens=whole(at(answer, "summary", "tokens")),
        longest_row_tokens=whole(at(answer, "summary", "longest")),
    )
    return counted, [*guessed, *(p for p in found if (p.line, p.severity) not in known)]


async def _count_tokens(
    ctx: Context, project: ProjectFolder, file: Path, max_seq_len: int | None
) -> Mapping[str, Any] | None:
    """Run the project's own token check in the training image; None when that is not possible."""
    from tunesmith.azure import azurebox_process

    inputs = inputs_of(project.config.values)
    script = project.root / TOKEN_CHECK
    if not script.is_file():
        return None
    listed = await azurebox_process.images(azurebox_home(ctx))
    image = next((i for i in listed if i.name == "training" and i.ready), None)
    if image is None:
        return None
    ctx.reporter.step(Step(text("check.tokens", file=file.name)))
    python = await azurebox_process.image_python(azurebox_home(ctx), "training")
    process = await asyncio.create_subprocess_exec(
        python,
        str(script),
        "--dataset",
        str(file),
        "--model",
        inputs.model,
        "--root",
        str(project.root),
        "--max-seq-len",
        str(max_seq_len or 512),
        cwd=project.root,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), TOKEN_CHECK_TIMEOUT_S)
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = out.decode("utf-8", "replace").strip().splitlines()
    try:
        return mapping(json.loads(lines[-1])) if lines else None
    except ValueError:
        return None


def _problem(body: Mapping[str, Any], file: str) -> Problem:
    severity = words(body.get("severity"))
    return Problem(
        words(body.get("file")) or file,
        whole(body.get("line")),
        whole(body.get("column")),
        "error" if severity == "error" else "info" if severity == "info" else "warning",
        words(body.get("code")) or "dataset.tokens",
        words(body.get("message")),
        words(body.get("hint")),
    )
