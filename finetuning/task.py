"""Where this process works: the mount, the run's folder, its frozen inputs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import launcher
from problem import TrainingFailed


@dataclass(frozen=True)
class Task:
    """A task folder on the share. All paths are absolute; `root` is the project (the mount)."""

    root: Path
    folder: Path
    run_id: str
    attempt: int
    request: dict[str, Any]

    @property
    def inputs(self) -> Path:
        """The frozen config and data."""
        return self.folder / "inputs"

    @property
    def config(self) -> Path:
        """The frozen config."""
        return self.folder / str(self.request.get("config") or "inputs/olive-config.json")

    def shown(self, path: Path) -> str:
        """Return a path as people know it: relative to the project."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)


def open_task() -> Task:
    """Return the task named by TUNESMITH_TASK_DIR; make a run of our own when none is named.

    The latter is for somebody who types `python finetuning/invoke_olive.py` in a project.
    Raises: TrainingFailed("task.*").
    """
    root = Path(__file__).resolve().parent.parent
    named = os.environ.get("TUNESMITH_TASK_DIR", "").strip()
    try:
        folder = (root / named).resolve() if named else _own_run(root)
    except launcher.Refused as e:
        raise TrainingFailed("task.notMade", str(e)) from e
    if not folder.is_relative_to(root) or not folder.is_dir():
        raise TrainingFailed(
            "task.absent",
            f"The run folder {named} is not in {root}.",
            "Push the project and start the run again.",
        )
    try:
        request = json.loads((folder / "request.json").read_text("utf-8"))
        if not isinstance(request, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError) as e:
        raise TrainingFailed(
            "task.badRequest",
            f"request.json of {folder.name} cannot be read: {e}.",
            "Start the run again from your project.",
        ) from e
    run_id = os.environ.get("TUNESMITH_RUN_ID") or str(request.get("run_id") or folder.name)
    return Task(root, folder, run_id, launcher.attempt_number(), request)


def _own_run(root: Path) -> Path:
    return launcher.make_run(root, launcher.date_name(), launcher.DEFAULT_COMMANDS)
