"""Which run belongs to the inputs as they are now, so that a second demo trains nothing twice."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

MEMORY = ".tunesmith/demo.json"
INPUTS = ("dataset", "finetuning")
"""Folders whose content decides what a run makes."""


def remember(project: Path, run_id: str) -> None:
    """Note that `run_id` was started from the project's present inputs."""
    path = project / MEMORY
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"v": 1, "run": run_id, "inputs": inputs_hash(project)}), "utf-8")
    os.replace(new, path)


def remembered_run(project: Path) -> str | None:
    """The run that was started from exactly these inputs, None when they have changed."""
    try:
        noted = json.loads((project / MEMORY).read_text("utf-8"))
        return str(noted["run"]) if noted["inputs"] == inputs_hash(project) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def inputs_hash(project: Path) -> str:
    """SHA-256 over names and content of the files that a run reads."""
    total = hashlib.sha256()
    for folder in INPUTS:
        for path in sorted((project / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                total.update(f"{path.relative_to(project).as_posix()}\0".encode())
                total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
