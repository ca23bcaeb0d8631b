"""How a run comes to be: inputs frozen on the share, request.json, one execution for each attempt.

Making the run's folder is the lock, so a start that is repeated, doubled or cut off never makes a
second run: whoever comes later waits for the first, and takes over what it left undone.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import tunesmith
from tunesmith.core.errors import DatasetError, ProjectError
from tunesmith.core.infra_config import to_json
from tunesmith.core.messages import text
from tunesmith.core.ports import Files
from tunesmith.core.reporter import Step
from tunesmith.core.run_config import FILE as CONFIG_FILE
from tunesmith.core.run_request import Inputs, execution_env, inputs_of, request_json
from tunesmith.core.run_state import attempt_of
from tunesmith.ops.base_model import LocalModel, check_model, push_model
from tunesmith.ops.dataset_file import check_dataset
from tunesmith.ops.refusals import refuse_config, refuse_dataset
from tunesmith.ops.run_folder import executions_of
from tunesmith.ops.session import Session
from tunesmith.workspace.project_folder import ProjectFolder

TAKE_OVER_AFTER_S = 20.0
"""How long a second starter waits for the first one's execution before it starts its own. The
launcher ends a doubled execution at once, so taking over too early costs seconds, never a run."""


@dataclass(frozen=True, slots=True)
class FrozenInputs:
    """What goes to runs/<id>/inputs/, checked here. `contents`: bytes or a local file."""

    inputs: Inputs
    contents: Mapping[str, bytes | Path]
    dataset_sha256: str
    dataset_rows: int
    model: LocalModel | None


def prepare_inputs(project: ProjectFolder) -> FrozenInputs:
    """Check everything a run reads, before anything is sent or paid for.

    Raises: ProjectError("project.configInvalid" | "project.modelUnknown" | "project.modelMissing"),
    DatasetError("dataset.fileUnusable" | "dataset.unusable").
    """
    refuse_config(project.config.problems)
    inputs = inputs_of(project.config.values)
    model = check_model(project.root, inputs.model)
    rows = 0
    for name in inputs.files:
        checked = _check_data(project.root, name, is_questions=name != inputs.dataset)
        rows = checked if name == inputs.dataset else rows
    contents: dict[str, bytes | Path] = {name: project.root / name for name in inputs.files}
    contents["olive-config.json"] = (project.root / CONFIG_FILE).read_bytes()
    if model and model.is_outside:
        changed = {**project.config.values}
        changed["input_model"] = {**changed["input_model"], "model_path": model.share_path}
        contents["olive-config.json"] = to_json(changed)
    digest = hashlib.sha256((project.root / inputs.dataset).read_bytes()).hexdigest()
    return FrozenInputs(inputs, contents, digest, rows, model)


def _check_data(root: Path, name: str, *, is_questions: bool) -> int:
    """Return how many rows a data file has.

    Raises: DatasetError for one that cannot be trained on.
    """
    if is_questions:
        if not (root / name).is_file():
            raise DatasetError("dataset.notFound", file=name)
        return 0
    check = check_dataset(root / name, shown_as=name)
    refuse_dataset(check.problems, str(root))
    return check.summary.usable_rows


async def make_run(session: Session, run_id: str, frozen: FrozenInputs) -> bool:
    """Make the run's folder with its inputs and request.json; False when it was there, complete.

    Cancelled or killed half-way it leaves a folder without request.json, which the next start of
    the same id completes.
    """
    files, folder = await session.files(), f"runs/{run_id}"
    if not await files.make_directory(folder):
        deadline = time.monotonic() + TAKE_OVER_AFTER_S
        while time.monotonic() < deadline:
            if await files.exists(f"{folder}/request.json"):
                return False
            await asyncio.sleep(0.25)
    session.ctx.reporter.step(Step(text("run.freezing", run=run_id)))
    if frozen.model:
        await push_model(files, frozen.model, session.ctx.reporter)
    await asyncio.gather(
        *(files.write(f"{folder}/inputs/{name}", body) for name, body in frozen.contents.items())
    )
    body = request_json(
        run_id=run_id,
        task="train",
        created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        project=session.project.name,
        commands=commands_of(session),
        model=frozen.inputs.model,
        dataset=frozen.inputs.dataset,
        dataset_sha256=frozen.dataset_sha256,
        dataset_rows=frozen.dataset_rows,
        version=tunesmith.__version__,
    )
    await files.write(f"{folder}/request.json", body)
    return True


def commands_of(session: Session) -> list[str]:
    """Return the commands of a run: infra/finetuning.config.json's COMMANDS, edited or not.

    Raises: ProjectError("project.noCommands").
    """
    commands = list(session.provisioned().commands)
    if not commands:
        raise ProjectError("project.noCommands")
    return commands


async def start_attempt(session: Session, run_id: str, task_dir: str, attempt: int) -> str:
    """Start the execution of one attempt, or find the one that is there; return its name.

    Raises: RunError("run.jobMissing"), InfraError, TargetError.
    """
    files, runner, job = await session.files(), session.runner(), session.provisioned().job
    is_mine = await files.make_directory(f"{task_dir}/starts/{attempt}")
    deadline = time.monotonic() + (0 if is_mine else TAKE_OVER_AFTER_S)
    while True:
        if not is_mine and (name := await _execution(session, run_id, task_dir, attempt)):
            return name
        if time.monotonic() >= deadline:
            break
        await asyncio.sleep(0.3)
    session.ctx.reporter.step(Step(text("run.starting", run=run_id)))
    return await runner.start(job, execution_env(run_id, task_dir, attempt))


async def _execution(session: Session, run_id: str, task_dir: str, attempt: int) -> str:
    listed = await session.runner().executions(session.provisioned().job)
    mine = executions_of(listed, run_id, task_dir)
    return next((e.name for e in mine if attempt_of(e) == attempt), "")


async def last_attempt(files: Files, task_dir: str) -> int:
    """Return the highest attempt that anybody has begun to start."""
    names = await files.folders(f"{task_dir}/starts")
    return max((int(n) for n in names if n.isdecimal()), default=0)
