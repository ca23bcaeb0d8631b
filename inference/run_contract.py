"""What a run left behind for serving: reads `runs/<run-id>/run.json` and refuses what is not whole.

`run.json` is the contract between training and inference, so that nobody guesses a path. Standard
library only: this runs before anything heavy is imported.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
READS_VERSION = 1


class RefusedToServe(Exception):
    """The app cannot serve what it was asked to. `hint` says what to do next."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class ServedRun:
    """A finished run as the engine needs it; without `adapter_path` only the base is served."""

    run_id: str
    base_model: str
    base_path: Path
    adapter_path: Path | None
    chat_template_sha256: str = ""
    created_s: int = 0
    """When the run ended, as a Unix time in seconds; 0 where its record does not say."""
    questions: tuple[str, ...] = ()
    """Questions of the run's comparison that only the tuned model answered right."""


def read_run(mount: Path, run_id: str, *, base_only: bool = False) -> ServedRun:
    """Return the run to serve; paths are absolute and were seen to exist.

    Raises: RefusedToServe when the run is unknown, not finished, or lacks its adapter or base.
    """
    if not RUN_ID.fullmatch(run_id):
        raise RefusedToServe(f"{run_id!r} is no run id.", "'tunesmith run list' names the runs.")
    folder = mount / "runs" / run_id
    if not folder.is_dir():
        raise RefusedToServe(f"There is no run {run_id} on the share.", suggest_run(mount, run_id))
    run = read_record(folder / "run.json", run_id)
    check_succeeded(run, run_id)
    base_model, base_path = find_base(mount, run, run_id)
    return ServedRun(
        run_id=run_id,
        base_model=base_model,
        base_path=base_path,
        adapter_path=None if base_only else find_adapter(folder, run, run_id),
        chat_template_sha256=str(run.get("chat_template_sha256") or ""),
        created_s=read_time(run.get("ended_at")) or read_time(run.get("started_at")),
        questions=read_questions(folder),
    )


def suggest_run(mount: Path, run_id: str) -> str:
    """Return the next step for an unknown run id: the closest one there is, or how to list them."""
    known = [path.parent.name for path in (mount / "runs").glob("*/run.json")]
    close = difflib.get_close_matches(run_id, known, n=1)
    return f"Did you mean {close[0]}?" if close else "'tunesmith run list' names the runs."


def read_record(path: Path, run_id: str) -> dict[str, Any]:
    """Return run.json as a dictionary. Raises: RefusedToServe when it is missing or nonsense."""
    try:
        record = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RefusedToServe(
            f"Run {run_id} has not begun to train: it has no run.json.",
            f"Wait for it with 'tunesmith run logs {run_id}', then deploy again.",
        ) from None
    except (OSError, ValueError) as error:
        raise RefusedToServe(
            f"{path.name} of run {run_id} cannot be read: {error}.",
            "Start a new run with 'tunesmith run start'.",
        ) from None
    if not isinstance(record, dict):
        raise RefusedToServe(
            f"{path.name} of run {run_id} is not a JSON object.",
            "Start a new run with 'tunesmith run start'.",
        )
    version = record.get("v")
    if version != READS_VERSION:
        raise RefusedToServe(
            f"run.json of run {run_id} has version {version!r}; this app reads {READS_VERSION}.",
            "Push the inference folder of the Tunesmith that made the run.",
        )
    return record


def check_succeeded(run: dict[str, Any], run_id: str) -> None:
    """Raises: RefusedToServe, with the run's own reason, unless the run succeeded."""
    state = run.get("state")
    if state == "succeeded":
        return
    reason = (run.get("error") or {}).get("message") if isinstance(run.get("error"), dict) else ""
    hints = {
        "running": f"Wait for it with 'tunesmith run logs {run_id}', then deploy again.",
        "stopped": f"Go on with 'tunesmith run resume {run_id}', then deploy again.",
    }
    raise RefusedToServe(
        f"Run {run_id} is {state}, not succeeded" + (f": {reason}" if reason else "."),
        hints.get(str(state), f"'tunesmith run logs {run_id}' says why."),
    )


def read_time(value: object) -> int:
    """Return an ISO 8601 time (UTC where it names no zone) as a Unix time; 0 when it is none."""
    try:
        when = datetime.fromisoformat(str(value))
    except ValueError:
        return 0
    return max(0, int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()))


def find_base(mount: Path, run: dict[str, Any], run_id: str) -> tuple[str, Path]:
    """Return the base model's id and its folder below the mount."""
    base = run.get("base_model")
    if not isinstance(base, dict) or not base.get("path"):
        raise RefusedToServe(
            f"run.json of run {run_id} does not say which base model it tuned.",
            "Start a new run with 'tunesmith run start'.",
        )
    path = within(mount, str(base["path"]), run_id)
    if not (path / "config.json").is_file():
        raise RefusedToServe(
            f"The base model of run {run_id} is not at {base['path']} on the share.",
            "A new run or 'tunesmith run compare' fetches it again.",
        )
    return str(base.get("id") or path.name), path


def find_adapter(folder: Path, run: dict[str, Any], run_id: str) -> Path:
    """Return the folder of the PEFT adapter that the run made."""
    artifact = run.get("artifact")
    if not isinstance(artifact, dict) or artifact.get("kind") != "peft":
        kind = artifact.get("kind") if isinstance(artifact, dict) else None
        raise RefusedToServe(
            f"Run {run_id} made no adapter that this app can serve (artifact: {kind}).",
            "Start a new run with 'tunesmith run start'.",
        )
    path = within(folder, str(artifact.get("path") or ""), run_id)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        file = path / name
        if not file.is_file() or file.stat().st_size == 0:
            raise RefusedToServe(
                f"The adapter of run {run_id} is not whole: {artifact.get('path')}/{name} is "
                f"{'empty' if file.is_file() else 'missing'}.",
                "Start a new run with 'tunesmith run start'; the base model is never served "
                "in its place.",
            )
    return path


def within(root: Path, relative: str, run_id: str) -> Path:
    """Return root/relative. Raises: RefusedToServe when that leads out of `root`."""
    path = (root / relative).resolve()
    if not relative or not path.is_relative_to(root.resolve()):
        raise RefusedToServe(
            f"run.json of run {run_id} names the path {relative!r}, which leads out of its place.",
            "Start a new run with 'tunesmith run start'.",
        )
    return path


def read_questions(folder: Path, limit: int = 4) -> tuple[str, ...]:
    """Return a few questions to try, from the comparison if there is a readable one."""
    try:
        record = json.loads((folder / "compare" / "compare.json").read_text("utf-8"))
        found = [
            str(answer["question"])
            for answer in record["answers"]
            if answer["kind"] == "fact" and answer["tuned_right"] and not answer["base_right"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return tuple(found[:limit])
